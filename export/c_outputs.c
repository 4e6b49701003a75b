// Owns what exported C says and does behind the network: of classes which is largest and whether it
// is sure, of tags which are there, of all what their codes stand for.

#include "export/c_outputs.h"

void dc__put_outputs_header(FILE *out, const char *name, const char *upper,
                            const struct dc_imodel *model)
{
    const enum dc_label_kind labels = model->preprocessing.labels;
    if (labels == DC_LABELS_CLASSES)
        fprintf(out,
                "/* Of an output of the network: where its largest code is, the first of equals; "
                "what its codes\n   stand for, [%s_OUTPUT_SIZE]. */\n"
                "int %s_argmax(const int8_t *output);\n",
                upper, name);
    else if (labels == DC_LABELS_TAGS)
        fprintf(out,
                "/* Of an output of the network: 1 where tag i is there, by probability above 1/2; "
                "what its\n   codes stand for, [%s_OUTPUT_SIZE]: 0 is probability 1/2. */\n"
                "int %s_has_tag(const int8_t *output, int i);\n",
                upper, name);
    else
        fprintf(out,
                "/* The values that an output of the network stands for, [%s_OUTPUT_SIZE]. */\n",
                upper);
    fprintf(out, "void %s_dequantize_output(float *values, const int8_t *output);\n\n", name);
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
    if (model->preprocessing.labels == DC_LABELS_CLASSES)
        fprintf(out,
                "int %s_argmax(const int8_t *output)\n{\n"
                "    return first_of_largest(output, %s_OUTPUT_SIZE);\n}\n\n",
                name, upper);
    else if (model->preprocessing.labels == DC_LABELS_TAGS)
        fprintf(out,
                "int %s_has_tag(const int8_t *output, int i)\n{\n"
                "    return output[i] - %s_OUTPUT_ZERO_POINT > 0;\n}\n\n",
                name, upper);
    fprintf(
        out,
        "void %s_dequantize_output(float *values, const int8_t *output)\n{\n"
        "    int32_t i;\n"
        "    for (i = 0; i < %s_OUTPUT_SIZE; i++)\n"
        "        values[i] = %s_OUTPUT_SCALE * (float)(output[i] - %s_OUTPUT_ZERO_POINT);\n}\n\n",
        name, upper, upper, upper);
    if (model->confident_margin >= 0)
        fprintf(out,
                "int %s_confident(const int8_t *output)\n{\n"
                "    return margin_of_largest(output, %s_OUTPUT_SIZE) >= %s_CONFIDENT_MARGIN;\n}\n"
                "\n",
                name, upper, upper);
}
