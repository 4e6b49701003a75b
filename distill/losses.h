// Losses that make a student copy a teacher.
//
// Owns the ops and their attributes. Which layers they read, adaptors between shapes and weights
// are distill/terms.h's. Inputs are (student, teacher), of one batch; no gradient flows to the
// teacher. The frame around them, what their two outputs are and what a batch means under gradient
// accumulation: train/row_loss.h. p = softmax(z / T); B: rows; C: classes. Nothing divides by the
// number of classes. Logits of any finite size are fine.

#ifndef DC_DISTILL_LOSSES_H
#define DC_DISTILL_LOSSES_H

#include "core/op.h"
#include "core/schema.h"

// What stands between the layers that a loss compares: nothing, or layers that are trained along
// and dropped (distill/adaptor.h).
enum dc_adaptor { DC_ADAPTOR_NONE, DC_ADAPTOR_HINT, DC_ADAPTOR_FUSION, DC_ADAPTOR_EMBEDDING };

// A loss as an experiment names it. Its own keys fill a struct that begins with the op's
// attributes.
struct dc_term_kind {
    const char *name, *help;
    double weight;           // where none is stated
    const struct dc_op *op;  // NULL: label, which is the stage's
    bool features;           // reads layers, not logits
    enum dc_adaptor adaptor;
    struct dc_schema keys;
    size_t bytes;      // of the struct they fill
    int temperature;   // offset of the float that divides logits, where several teachers are
                       // averaged; DC_NO_TEMPERATURE: 1
    bool probability;  // several teachers are averaged class by class, as sigmoids
    // Where a stage quantizes and no temperature is stated it is 1: such a student is near its
    // teacher already and learns from small differences.
    bool quantized_at_1;
};
enum { DC_NO_TEMPERATURE = -1 };

// Hinton et al., arXiv:1503.02531:
//   L = T^2 / B * sum_b sum_c p_t (log p_t - log p_s)
struct dc_kd_attributes {
    float temperature;  // T > 0
};

// Zheng and Yang, arXiv:2402.11148: the temperature is the teacher's alone, and no factor T^2.
//   ttm:   L = 1/B sum_b KL(p_t || q), q = softmax(z_s)
//   wttm:  each row times sum_c softmax(z_t)_c^(1/T), more where the teacher is less sure: their
//          weight U_gamma, gamma = 1/T.
// Formulae are the authors' program's (distiller_zoo/ttm.py, wttm.py), whose exponent is 1/T.

// Zhao et al., arXiv:2203.08679. Inputs (student, teacher, targets); y: the largest target (of a
// mixed sample, the class of its larger share). b = p[y]; q_i = p_i / (1 - b) for i != y:
//   L = T^2 / B * sum_b (alpha TCKD + beta NCKD)
//   TCKD = b_t log(b_t / b_s) + (1 - b_t) log((1 - b_t) / (1 - b_s)),
//   NCKD = sum over i != y of q_t log(q_t / q_s)
// Two classes are refused: NCKD would be empty.
struct dc_dkd_attributes {
    float alpha, beta, temperature;
};

// Sun et al., arXiv:2403.01427: dc_op_kd on u = (z - mean z) / (sd z + 1e-7) of each row, sd
// unbiased. The divisor is at least DC_STANDARD_DEVIATION_FLOOR and then a constant: rows of
// (nearly) equal logits have bounded gradients. Of two classes only the order is left: the gradient
// is 0 but for the 1e-7.
#define DC_STANDARD_DEVIATION_FLOOR 0.01

// Touvron et al., arXiv:2012.12877: cross-entropy of the student on the teacher's largest logit
// (the first of equals). No attributes.

// Huang et al., arXiv:2205.10536. y = softmax(z / tau), rho: Pearson's correlation with 1e-8 added
// to the product of norms.
//   L = tau^2 (beta (1 - mean over rows of rho) + gamma (1 - mean over classes of rho))
// The second sees the batch and needs two rows: with gamma, a batch of one is refused. A student of
// constant logits has gradients of size 1e7, as published.
struct dc_dist_attributes {
    float beta, gamma, tau;
};

extern const struct dc_term_kind dc_term_label, dc_term_kd, dc_term_ttm, dc_term_wttm, dc_term_dkd,
    dc_term_standardized_kd, dc_term_dist, dc_term_hard_label, dc_term_bce, dc_term_mse;

extern const struct dc_op dc_op_kd;               // struct dc_kd_attributes
extern const struct dc_op dc_op_ttm;              // struct dc_kd_attributes
extern const struct dc_op dc_op_wttm;             // struct dc_kd_attributes
extern const struct dc_op dc_op_dkd;              // struct dc_dkd_attributes
extern const struct dc_op dc_op_standardized_kd;  // struct dc_kd_attributes
extern const struct dc_op dc_op_hard_label;
extern const struct dc_op dc_op_dist;  // struct dc_dist_attributes

// ---- feature maps [batch, height, width, channels], each sample by itself ----
// Of maps of two sizes the larger is average-pooled to the smaller, adaptively as PyTorch.

// Zagoruyko and Komodakis, arXiv:1612.03928: a = mean over channels of f^2, over its L2 norm.
//   code:   L = 1/B sum_b mean over places of (a_s - a_t)^2, as the authors' program
//   paper:  L = 1/B sum_b |a_s - a_t|_2, as their equation 2
enum dc_attention_mode { DC_ATTENTION_CODE, DC_ATTENTION_PAPER };
struct dc_attention_attributes {
    enum dc_attention_mode mode;
};

// Huang and Wang, arXiv:1707.01219, squared-dot kernel: channels f_c over places, L2-normalized;
// L = 1/B sum_b (mean k(t, t) + mean k(s, s) - 2 mean k(s, t)), k(a, b) = (a . b)^2 over pairs of
// channels. No attributes.

// Chen et al., arXiv:2104.09044, the hierarchical context loss: mean squared error at full size
// (weight 1) and average-pooled to 4x4, 2x2, 1x1 where the map is higher than that (weights 1/2,
// 1/4, 1/8 in the order taken), over the sum of weights. Maps of one shape. No attributes.

// Romero et al., arXiv:1412.6550: the mean squared error of a student's layer, behind an adaptor,
// from a teacher's.
struct dc_hint_keys {
    int adaptor;  // 0: made from the shapes and trained along, 1: none
};
extern const struct dc_term_kind dc_term_hint, dc_term_attention, dc_term_nst, dc_term_review;

extern const struct dc_op dc_op_attention;  // struct dc_attention_attributes
extern const struct dc_op dc_op_nst;
extern const struct dc_op dc_op_pyramid;

// ---- relations between the samples of a batch; a row of values is one vector ----

// Tung and Mori, arXiv:1907.09682: G = F F^T, rows L2-normalized; L = |G_s - G_t|^2 / B^2.

// Park et al., arXiv:1904.05068. h: Huber's loss with threshold 1. D_ij = |e_i - e_j|, at least
// 1e-6, 0 on the diagonal, over its mean where positive:
//   distance:  mean over B^2 of h(D_s - D_t)
//   angle:     mean over B^3 of h(a_s - a_t), a_ijk: the cosine of (e_j - e_i, e_k - e_i)
// Pairs nearer than 1e-12 have no direction: their cosines are 0 and give no gradient.
struct dc_rkd_attributes {
    float distance_weight, angle_weight;
};

// Passalis and Tefas, arXiv:1803.10837: cosines c of pairs (1e-7 added to each norm); (c + 1) / 2,
// rows divided by their sums; L = mean over B^2 of p_t log((p_t + 1e-7) / (p_s + 1e-7)).

extern const struct dc_term_kind dc_term_similarity, dc_term_rkd, dc_term_pkt;

extern const struct dc_op dc_op_similarity;
extern const struct dc_op dc_op_rkd;  // struct dc_rkd_attributes
extern const struct dc_op dc_op_pkt;

// ---- contrast with remembered samples ----

// Tian et al., arXiv:1910.10699, as the authors' program. Inputs (student, teacher), embeddings
// [batch, size], both trained; each is L2-normalized to v. Two banks remember v of every sample.
// With P = exp(v . m / temperature) / Z for an entry m of the other network's bank, N samples and K
// negatives, of either side
//   L = -1/B sum_b [log P/(P + K/N + 1e-7) of the sample's own entry
//                   + sum over K entries of other classes of log (K/N)/(P + K/N + 1e-7)]
// and the sides are added. Z is fixed from the first batch: N times the mean of the exponentials.
// Then m <- normalize(momentum m + (1 - momentum) v). Negatives are drawn by (seed, epoch, id).
// Parameters (DC_ROLE_BANK): banks [bank_rows, size] of student and teacher, and Z of the sides, 0
// until set. Entries start normal, of the authors' variance 1/size. Needs step->ids.
struct dc_crd_attributes {
    float temperature, momentum;
    int64_t negatives;
    int64_t samples;             // N: trained on
    int64_t bank_rows;           // above any id
    const int32_t *labels;       // [bank_rows] of ids; must outlive the graph
    const int64_t *by_class;     // [samples] ids trained on, sorted by class
    const int64_t *class_start;  // [classes + 1] places in by_class
    int64_t embedding;           // size, of the adaptors before the loss
};
extern const struct dc_term_kind dc_term_crd;
extern const struct dc_op dc_op_crd;

#endif
