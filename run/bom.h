// A bill of materials of a packaged network: CycloneDX 1.5 (https://cyclonedx.org), a component of
// type machine-learning-model with a model card.

#ifndef DC_RUN_BOM_H
#define DC_RUN_BOM_H

#include "export/package.h"

// *bom: a new reference. The package in the file `path` holds the bundle's network; accuracies with
// their 95 % intervals, data and program come from the run that the bundle lies in, where it does.
// The same for the same package: no time, no serial number.
DC_MUST_USE enum dc_status dc_run_bom(json_t **bom, const struct dc_package *package,
                                      const char *bundle, struct dc_error *error);

#endif
