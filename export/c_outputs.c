// Owns what exported C says and does behind the network.

#include "export/c_outputs.h"

void dc__put_outputs_header(FILE *out, const char *name, const char *upper,
                            const struct dc_imodel *model)
{
    fprintf(out,
            "/* Of an output of the network: where its largest code is, the first of equals; what "
            "its codes\n   stand for, [%s_OUTPUT_SIZE]. */\n"
            "int %s_argmax(const int8_t *output);\n"
            "void %s_dequantize_output(float *values, const int8_t *output);\n\n",
            upper, name, name);
    if (model->confident_margin >= 0)
        fprintf(out,
                "/* 1: the network is sure, its two largest codes are so far apart. Else ask "
                "another one:\n   the margin was chosen on validation samples, for the accuracy of "
                "those that are kept. */\n"
                "#define %s_CONFIDENT_MARGIN %d\n"
                "int %s_confident(const int8_t *output);\n\n",
                upper, model->confident_margin, name);
}

void dc__put_outputs_code(FILE *out, const char *name, const char *upper,
                          const struct dc_imodel *model)
{
    fprintf(
        out,
        "int %s_argmax(const int8_t *output)\n{\n"
        "    return first_of_largest(output, %s_OUTPUT_SIZE);\n}\n\n"
        "void %s_dequantize_output(float *values, const int8_t *output)\n{\n"
        "    int32_t i;\n"
        "    for (i = 0; i < %s_OUTPUT_SIZE; i++)\n"
        "        values[i] = %s_OUTPUT_SCALE * (float)(output[i] - %s_OUTPUT_ZERO_POINT);\n}\n\n",
        name, upper, name, upper, upper, upper);
    if (model->confident_margin >= 0)
        fprintf(out,
                "int %s_confident(const int8_t *output)\n{\n"
                "    return margin_of_largest(output, %s_OUTPUT_SIZE) >= %s_CONFIDENT_MARGIN;\n}\n"
                "\n",
                name, upper, upper);
}
