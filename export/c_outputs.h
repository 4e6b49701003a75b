// What exported C offers behind the network: the class, whether it is sure, the reals. Internal to
// export/.

#ifndef DC_EXPORT_C_OUTPUTS_H
#define DC_EXPORT_C_OUTPUTS_H

#include <stdio.h>

#include "qat/imodel.h"

// What is put into the header, and behind the fragment outputs.h into the code. upper: `name` as
// macros have it.
void dc__put_outputs_header(FILE *out, const char *name, const char *upper,
                            const struct dc_imodel *model);
void dc__put_outputs_code(FILE *out, const char *name, const char *upper,
                          const struct dc_imodel *model);

#endif
