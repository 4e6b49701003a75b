// Textbook definitions in double precision: what every kernel is compared with.
//
// Plain loops written from the formulae below; nothing here includes or shares code with the
// library. Backward passes are derived on their own (they gather where the forward scatters), and
// test_oracles.c holds each against finite differences of its forward.
//
// All arrays are row-major doubles; images are [n, h, w, c]. Outputs come first and are
// overwritten. The magnitude sum |a_i b_i| of a linear op, for error bounds, is the op applied to
// absolute values.

#ifndef DECANT_TESTS_ORACLES_H
#define DECANT_TESTS_ORACLES_H

#include <stdbool.h>

// A sliding window: convolution and pooling.
struct oracle_window {
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_bottom, pad_left, pad_right;
};

struct oracle_image {
    int n, h, w, c;
};

// How many windows fit: starts -before, -before + stride, ... whose last tap is below in + after.
int oracle_window_count(int in, int before, int after, int kernel, int stride, int dilation);

// y[n,p,q,f] = bias[f] + sum_{i,j,k} x[n, p sh - top + i dh, q sw - left + j dw, g K + k]
// w[i,j,k,f] with K = c / groups input channels a group and g = f / (filters / groups); x is 0
// outside. w: [kernel_h, kernel_w, c / groups, filters]; bias: [filters] or NULL.
void oracle_conv(double *y, const double *x, const double *w, const double *bias,
                 struct oracle_image in, struct oracle_window window, int filters, int groups);
// Gradients of sum(y g). Any of dx, dw, db may be NULL.
void oracle_conv_backward(double *dx, double *dw, double *db, const double *g, const double *x,
                          const double *w, struct oracle_image in, struct oracle_window window,
                          int filters, int groups);

// y[r,u] = bias[u] + sum_i x[r,i] w[i,u].  w: [in, units]; bias: [units] or NULL.
void oracle_dense(double *y, const double *x, const double *w, const double *bias, int rows, int in,
                  int units);
void oracle_dense_backward(double *dx, double *dw, double *db, const double *g, const double *x,
                           const double *w, int rows, int in, int units);

// Over `count` values a channel, x: [count, channels].
// m = mean x, v = mean (x - m)^2 (biased), y = (x - m) / sqrt(v + epsilon) gamma + beta.
// mean, variance: of the batch, may be NULL.
void oracle_batch_norm_training(double *y, double *mean, double *variance, const double *x,
                                const double *gamma, const double *beta, double epsilon, int count,
                                int channels);
// With h = (x - m) / sqrt(v + epsilon): d_beta = sum g, d_gamma = sum g h,
// dx = gamma / sqrt(v + epsilon) (g - mean g - h mean(g h)).
void oracle_batch_norm_training_backward(double *dx, double *d_gamma, double *d_beta,
                                         const double *g, const double *x, const double *gamma,
                                         double epsilon, int count, int channels);
// With given mean and variance, which get no gradient.
void oracle_batch_norm_inference(double *y, const double *x, const double *gamma,
                                 const double *beta, const double *mean, const double *variance,
                                 double epsilon, int count, int channels);
void oracle_batch_norm_inference_backward(double *dx, double *d_gamma, double *d_beta,
                                          const double *g, const double *x, const double *gamma,
                                          const double *mean, const double *variance,
                                          double epsilon, int count, int channels);

// Functions of one value and their derivatives (at a kink: 0).
double oracle_relu(double x);     // max(x, 0)
double oracle_relu6(double x);    // min(max(x, 0), 6)
double oracle_sigmoid(double x);  // 1 / (1 + exp(-x))
double oracle_tanh(double x);
double oracle_h_swish(double x);  // x relu6(x + 3) / 6
double oracle_relu_slope(double x);
double oracle_relu6_slope(double x);
double oracle_sigmoid_slope(double x);
double oracle_tanh_slope(double x);
double oracle_h_swish_slope(double x);

// y[r,c] = exp(x[r,c]) / sum_k exp(x[r,k])
void oracle_softmax(double *y, const double *x, int rows, int classes);
// dx_j = sum_i g_i y_i ([i = j] - y_j)
void oracle_softmax_backward(double *dx, const double *g, const double *x, int rows, int classes);

// y = kept ? x / (1 - rate) : 0; its backward is the same map.
void oracle_dropout(double *y, const double *x, const bool *kept, double rate, int count);

// y[i] = sum_k x[k][i]
void oracle_add(double *y, const double *const *x, int inputs, int count);

// Maximum over the taps inside the image; dx goes to the first maximum in row-major window order.
void oracle_max_pool(double *y, const double *x, struct oracle_image in,
                     struct oracle_window window);
void oracle_max_pool_backward(double *dx, const double *g, const double *x, struct oracle_image in,
                              struct oracle_window window);
// Sum over the taps inside the image, divided by their number, or by all taps with count_padding.
void oracle_average_pool(double *y, const double *x, struct oracle_image in,
                         struct oracle_window window, bool count_padding);
void oracle_average_pool_backward(double *dx, const double *g, struct oracle_image in,
                                  struct oracle_window window, bool count_padding);
// [n, h, w, c] -> [n, c]
void oracle_global_average_pool(double *y, const double *x, struct oracle_image in);
void oracle_global_average_pool_backward(double *dx, const double *g, struct oracle_image in);

// y[n, p, q, c] = x[n, p - top, q - left, c - before], 0 outside.
struct oracle_sides {
    int top, bottom, left, right, before, after;
};
void oracle_pad(double *y, const double *x, struct oracle_image in, struct oracle_sides sides);
void oracle_pad_backward(double *dx, const double *g, struct oracle_image in,
                         struct oracle_sides sides);

// y[..., i, ...] = x[..., begin + i step, ...] on `axis` for indices below end.
void oracle_slice(double *y, const double *x, const int *dims, int rank, int axis, int begin,
                  int end, int step);
void oracle_slice_backward(double *dx, const double *g, const int *dims, int rank, int axis,
                           int begin, int end, int step);

// The inputs one behind the other on `axis`. dims: of the output; sizes: of each input on the axis.
void oracle_concat(double *y, const double *const *x, const int *sizes, int inputs, const int *dims,
                   int rank, int axis);
void oracle_concat_backward(double *const *dx, const double *g, const int *sizes, int inputs,
                            const int *dims, int rank, int axis);

// Flatten and reshape: the same values in the same order.
void oracle_reshape(double *y, const double *x, int count);

// Ops on values of any rank, as loops over the indices of the output, [batch, ...]. A gradient's
// oracle is the central difference of these. Inputs whose dims[0] is 1 are the same for all rows.
struct oracle_nd {
    int rank, dims[8];
};
struct oracle_call {
    struct oracle_nd in[3], out;
    int n[24];    // whole numbers, as each function says
    double r[4];  // real ones
    double (*one)(double x, const double *r);
    double (*two)(double a, double b);
};
typedef void oracle_function(double *y, const double *const *x, const double *const *params,
                             const struct oracle_call *call);
oracle_function oracle_nd_map;        // y = one(x, r)
oracle_function oracle_nd_two;        // y = two(a, b), axes behind the batch aligned at the last
oracle_function oracle_nd_prelu;      // params: slope of the last axis
oracle_function oracle_nd_dense;      // over the last axis; params: w [in, units], bias or NULL
oracle_function oracle_nd_matmul;     // n: transpose a, transpose b
oracle_function oracle_nd_reduce;     // n: mask of axes, 0 sum 1 mean 2 max
oracle_function oracle_nd_softmax;    // n: axis
oracle_function oracle_nd_transpose;  // n: axes
oracle_function oracle_nd_expand;
oracle_function oracle_nd_gather;  // n: axis, indices
oracle_function oracle_nd_slice;   // n: axis, begin, step
oracle_function oracle_nd_pad;     // n: before of axes 1.., [7]: 0 constant r[0], 1 reflect, 2 edge
oracle_function oracle_nd_norm;  // n: 0, axes or 1, groups; r: epsilon; params gamma, beta or NULL
// n: 0 linear, 1 .. 4 nearest (half down, half up, floor, ceil); 0 half pixel, 1 pytorch,
// 2 asymmetric, 3 align corners; r: scales or 0
oracle_function oracle_nd_resize;
// The definition by what each input value adds. n: kernel, stride, dilation, pad top and left,
// groups; params: w [kh, kw, filters / groups, in], bias or NULL
oracle_function oracle_nd_conv_transpose;
// n: 0 max 1 average of taps inside 2 of those inside up to the counted padding; kernel, stride,
// dilation, pads top, left, counted pads bottom, right
oracle_function oracle_nd_pool;
double oracle_erf(double x, const double *r);
double oracle_leaky(double x, const double *r);
double oracle_hard_sigmoid(double x, const double *r);
double oracle_clip(double x, const double *r);
double oracle_silu(double x, const double *r);
double oracle_elu(double x, const double *r);
double oracle_softplus(double x, const double *r);
double oracle_gelu(double x, const double *r);
double oracle_gelu_tanh(double x, const double *r);
double oracle_exp(double x, const double *r);
double oracle_log(double x, const double *r);
double oracle_sqrt(double x, const double *r);
double oracle_pow(double x, const double *r);
double oracle_negate(double x, const double *r);
double oracle_abs(double x, const double *r);
double oracle_reciprocal(double x, const double *r);

// Losses: return the value, write d_* = its gradient (may be NULL).
//
// Cross-entropy on dense targets t (rows sum to 1), with q = (1 - smoothing) t + smoothing /
// classes:
//   L = -1 / rows sum_r sum_c weight_c q_rc log p_rc, p = softmax(logits)
// class_weights: [classes] or NULL for ones. Divided by rows, not by the weights, as PyTorch does
// where targets are probabilities.
double oracle_cross_entropy(double *d_logits, const double *logits, const double *targets,
                            const double *class_weights, double smoothing, int rows, int classes);
// L = 1 / (rows values) sum (y - t)^2
double oracle_mean_squared_error(double *dy, const double *y, const double *t, int rows,
                                 int values);
// Hinton et al., arXiv:1503.02531:  L = T^2 / rows sum_r sum_c p_t (log p_t - log p_s),
// p = softmax(logits / T); the teacher gets no gradient.
double oracle_kd(double *d_student, const double *student, const double *teacher,
                 double temperature, int rows, int classes);

#endif
