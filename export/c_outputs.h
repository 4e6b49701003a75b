// What exported C offers behind the network: the class, whether it is sure, tags, the reals.
// Internal to export/.

#ifndef DC_EXPORT_C_OUTPUTS_H
#define DC_EXPORT_C_OUTPUTS_H

#include <stdio.h>

#include "qat/imodel.h"

// What is put into the header, and into the code; of classes behind the fragment outputs.h. upper:
// `name` as macros have it.
void dc__put_outputs_header(FILE *out, const char *name, const char *upper,
                            const struct dc_imodel *model);
void dc__put_outputs_code(FILE *out, const char *name, const char *upper,
                          const struct dc_imodel *model);

#endif
