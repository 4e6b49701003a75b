// The SSE2 level: 4 lanes, what every x86-64 machine runs.

#include "core/kernels/kernels.h"

#if defined(__x86_64__)

#include "core/kernels/vector_sse2.h"

#include "core/kernels/convolution.inc.h"
#include "core/kernels/depthwise.inc.h"
#include "core/kernels/epilogue.inc.h"
#include "core/kernels/pointwise.inc.h"
#include "core/kernels/random.inc.h"

const struct dc_kernels dc__kernels_sse2 = {
    .conv_panels = conv_panels,
    .conv_gradient = conv_gradient,
    .depthwise = depthwise,
    .depthwise_gradient = depthwise_gradient,
    .epilogue = epilogue,
    .epilogue_gradient = epilogue_gradient,
    .moments = moments,
    .epilogue_gradient_sums = epilogue_gradient_sums,
    .epilogue_step_sums = epilogue_step_sums,
    .range = range,
    .pointwise = pointwise,
    .max_line = max_line,
    .softmax_line = softmax_line,
    .line_moment = line_moment,
    .normalize_line = normalize_line,
    .philox = philox,
};

#endif
