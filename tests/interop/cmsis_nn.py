"""Writes the main of a program that runs a bundle's network by calls of CMSIS-NN instead of the bundle's C:
cmsis_nn.py BUNDLE FILE.c. It runs the bundle's vectors, counts the bytes of all layers that differ from
them, and the ticks of the first inference. Profile tflm, weights of 8 bits."""
import json
import sys
import h5py
import numpy as np

folder, out = sys.argv[1:]
manifest = json.load(open(f"{folder}/manifest.json"))
arrays = h5py.File(f"{folder}/model.h5")
layers = manifest["layers"]
text, calls, starts = [], [], []


def array(name, values, kind):
    values = np.asarray(values).reshape(-1)
    text.append(f"static {'const ' if kind == 'int8_t' else ''}{kind} {name}[] = {{"
                + ",".join(str(int(v)) for v in values) + "};")
    return name


def dims(shape):
    return "&(cmsis_nn_dims){%d, %d, %d, %d}" % tuple(shape)


def tile(height, width):
    return "{%d, %d}" % (width, height)


def weighted(layer, source, index):
    path = f"layers/{index:02d}"
    weights = arrays[f"{path}/weights"][:]
    fully = layer["op"] == "fully_connected"
    count = layer["output"]["shape"][-1]
    image = [1] + (source["output"]["shape"] if not fully else [1, 1, int(np.prod(source["output"]["shape"]))])
    names = [array(f"{key}{index}", values, kind) for key, values, kind in
             (("weights", weights, "int8_t"), ("biases", arrays[f"{path}/biases"][:], "int32_t"),
              ("multipliers", np.broadcast_to(layer["multiplier"], count), "int32_t"),
              ("shifts", np.broadcast_to(layer["shift"], count), "int32_t"))]
    offsets = -source["output"]["zero_point"], layer["output"]["zero_point"]
    clamp = "{%d, %d}" % tuple(layer["clamp"])
    shape = [1] + layer["output"]["shape"]
    if fully:
        kernel = [image[3], 1, 1, count]
        calls.append(f"static const cmsis_nn_fc_params p{index} = {{{offsets[0]}, 0, {offsets[1]}, {clamp}}};")
        starts.append(f"    if (arm_fully_connected_s8_get_buffer_size({dims(kernel)}) > (int32_t)sizeof sums{index})\n"
                      f"        return 2;\n"
                      f"    arm_vector_sum_s8(sums{index}, {image[3]}, {count}, {names[0]}, {offsets[0]}, 0, {names[1]});")
        text.append(f"static int32_t sums{index}[{count}];")
        quant = f"&(cmsis_nn_quant_params){{{names[2]}, {names[3]}, 1}}"
        call, context = "arm_fully_connected_wrapper_s8", f"&(cmsis_nn_context){{sums{index}, sizeof sums{index}}}"
    else:
        depthwise = layer["op"] == "depthwise_conv2d"
        kernel = [1 if depthwise else count, *weights.shape[1:3], count if depthwise else image[3]]
        kind = "cmsis_nn_dw_conv_params" if depthwise else "cmsis_nn_conv_params"
        multiplier = f"{count // image[3]}, " if depthwise else ""
        calls.append(f"static const {kind} p{index} = {{{offsets[0]}, {offsets[1]}, {multiplier}"
                     f"{tile(*layer['stride'])}, {tile(layer['pads']['top'], layer['pads']['left'])}, "
                     f"{tile(*layer['dilation'])}, {clamp}}};")
        call = "arm_depthwise_conv_wrapper_s8" if depthwise else "arm_convolve_wrapper_s8"
        starts.append(f"    if ({call}_get_buffer_size(&p{index}, {dims(image)}, {dims(kernel)}, {dims(shape)}) > "
                      f"(int32_t)sizeof scratch)\n        return 2;")
        quant = f"&(cmsis_nn_per_channel_quant_params){{{names[2]}, {names[3]}}}"
        context = "&(cmsis_nn_context){scratch, sizeof scratch}"
    return (f"{call}({context}, &p{index}, {quant}, {dims(image)}, v{layer['inputs'][0]}, {dims(kernel)}, "
            f"{names[0]}, {dims([1, 1, 1, count])}, {names[1]}, {dims(shape)}, v{index})")


def add(layer, index):
    a, b = (layers[i]["output"] for i in layer["inputs"])
    m, s = layer["multiplier"], layer["shift"]
    order = (m[0], s[0]), (m[1], s[1])
    return (f"arm_elementwise_add_s8(v{layer['inputs'][0]}, v{layer['inputs'][1]}, {-a['zero_point']}, {order[0][0]}, "
            f"{order[0][1]}, {-b['zero_point']}, {order[1][0]}, {order[1][1]}, 20, v{index}, "
            f"{layer['output']['zero_point']}, {m[2]}, {s[2]}, {layer['clamp'][0]}, {layer['clamp'][1]}, "
            f"{int(np.prod(layer['output']['shape']))})")


def mean(layer, source, index):
    height, width, channels = source["output"]["shape"]
    return (f"mean(v{layer['inputs'][0]}, {height * width}, {channels}, {source['output']['zero_point']}, "
            f"{layer['multiplier'][0]}, {layer['shift'][0]}, {layer['output']['zero_point']}, v{index})")


body = []
for layer in layers:
    index, op = layer["index"], layer["op"]
    size = int(np.prod(layer["output"]["shape"]))
    text.append(f"static int8_t v{index}[{size}];")
    if op == "input":
        continue
    source = layers[layer["inputs"][0]]
    if op in ("conv2d", "depthwise_conv2d", "fully_connected"):
        body.append(weighted(layer, source, index))
    elif op == "add":
        body.append(add(layer, index))
    elif op == "mean":
        body.append(mean(layer, source, index))
    else:
        sys.exit(f"cmsis_nn.py: no call for {op}")
for layer in layers:
    array(f"expected{layer['index']}", arrays[f"vectors/{layer['index']:02d}/outputs"][0], "int8_t")
body = "".join(f"    failed |= {call};\n" for call in body)
compare = "".join(f"    different += differ(v{layer['index']}, expected{layer['index']}, sizeof v{layer['index']});\n"
                  for layer in layers)
open(out, "w").write("""#include <string.h>

#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"
#include "board.h"

static int8_t scratch[32768];
""" + "\n".join(text + calls) + """

static int mean(const int8_t *in, int places, int channels, int zero, int32_t multiplier, int32_t shift, int to,
                int8_t *out)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = -zero * places;
        for (int p = 0; p < places; p++)
            sum += in[p * channels + c];
        sum = arm_nn_requantize(sum, multiplier, shift) + to;
        out[c] = (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
    }
    return 0;
}

static int differ(const int8_t *a, const int8_t *b, unsigned count)
{
    int different = 0;
    for (unsigned i = 0; i < count; i++)
        different += a[i] != b[i];
    return different;
}

int main(void)
{
    int failed = 0, different = 0;
    memcpy(v0, expected0, sizeof v0);
""" + "\n".join(starts) + """
    const uint64_t start = board_ticks();
""" + body + """    const uint64_t end = board_ticks();
""" + compare + """    board_print("ticks: ");
    board_print_number(end - start);
    board_print(failed ? " failed" : " different: ");
    board_print_number((uint64_t)different);
    board_print("\\n");
    return failed;
}
""")
