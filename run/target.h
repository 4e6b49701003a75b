// Targets: what hardware and its tools can hold and compute, as a file that experiments name.
//
//   name: esp32-s3
//   profile: pot-half-up         # arithmetic, qat/profile.h
//   weight_bits: [8]             # and activation_bits: what may be asked for
//   per_tensor: true             # one weight scale a layer
//   symmetric: true              # zero point 0 everywhere
//   power_of_two: true           # scales
//   bias_bits: 20                # and accumulator_bits: what a trained network must fit in
//   functions: [sigmoid]         # of codes, as tables or by itself; all where it is not said
//   alignment: 16                # bytes, of weights and values in memory
//   packed_weights: false        # TFLite and ONNX hold weights of 4 bits as int8
//   pe: 4                        # simd: 4, bit_order: low_first: the words of memory images
//   formats: [bundle, c]         # what can be written for it
//   core: cortex-m4              # and optimize: -O2, by which code is measured or estimated
//   selftest: true               # the embedded vectors stay in flash
//   flash: 4194304               # bytes of weights, tables, code and vectors; ram: of activations,
//   ram: 393216                  # input, output, scratch and stack; macs: of one inference. 0: any
//   instructions: 20000000       # and latency_ms: of one inference, which needs clock_mhz
//
// Owns the checks: of what an experiment asks for, before any data is read, and of the integers
// that come out.

#ifndef DC_RUN_TARGET_H
#define DC_RUN_TARGET_H

#include "core/graph.h"
#include "export/c_size.h"
#include "qat/imodel.h"
#include "run/experiment.h"

extern const struct dc_schema dc__target_schema;  // struct dc_target_limits

// Reads the experiment's target file; without one the target is empty and refuses nothing.
DC_MUST_USE enum dc_status dc_target_read(struct dc_experiment *experiment, struct dc_error *error);

// DC_ERR_CONFIG with the line of what the target cannot do, and what it can.
DC_MUST_USE enum dc_status dc_target_check_stage(const struct dc_experiment *experiment,
                                                 const struct dc_stage *stage,
                                                 struct dc_error *error);

// DC_ERR_CONFIG where the target has no such function as a layer of a quantized network needs.
DC_MUST_USE enum dc_status dc_target_check_functions(const struct dc_target_limits *target,
                                                     const struct dc_graph *graph,
                                                     struct dc_error *error);

// Sets what the target wants of memory and files, where the model has its arithmetic.
void dc_target_apply(struct dc_imodel *model, const struct dc_target_limits *target);

// What the exported C takes of the target's memory, as export/c_size.h estimates it. Without a
// target: of a Cortex-M4. A model that was told nothing of its input gets tables for the bytes that
// most data is made of.
DC_MUST_USE enum dc_status dc_target_footprint(struct dc_footprint *footprint,
                                               const struct dc_experiment *experiment,
                                               const struct dc_imodel *model,
                                               struct dc_error *error);

// Flash, RAM and multiplications: the same before training and after. DC_ERR_BUDGET, with the
// budget's line.
DC_MUST_USE enum dc_status dc_target_check_budgets(const struct dc_experiment *experiment,
                                                   const char *stage, const struct dc_imodel *model,
                                                   struct dc_error *error);

// Instructions of each layer, [layers], as export/c_time.h estimates them for the target's core.
DC_MUST_USE enum dc_status dc_target_instructions(double *layers,
                                                  const struct dc_target_limits *target,
                                                  const struct dc_imodel *model,
                                                  struct dc_error *error);
// By the target's clock; 0: it says none.
double dc_target_milliseconds(const struct dc_target_limits *target, double instructions);
// detail: the end of the sentence. DC_ERR_BUDGET, with the budget's line.
DC_MUST_USE enum dc_status dc_target_check_time(const struct dc_target_limits *target,
                                                const char *stage, double instructions,
                                                const char *detail, struct dc_error *error);

// The same of what a linker says, or the estimate again.
DC_MUST_USE enum dc_status dc_target_check_memory(const struct dc_target_limits *target,
                                                  const char *stage, bool measured, int64_t flash,
                                                  int64_t ram, struct dc_error *error);

// Biases, sums and budgets of the finished integers: DC_ERR_BUDGET names the layer.
DC_MUST_USE enum dc_status dc_target_check_model(const struct dc_experiment *experiment,
                                                 const char *stage, const struct dc_imodel *model,
                                                 struct dc_error *error);

#endif
