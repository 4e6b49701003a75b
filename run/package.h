// What a run knows of a network that is packaged for devices.

#ifndef DC_RUN_PACKAGE_H
#define DC_RUN_PACKAGE_H

#include "export/package.h"

// Describes the bundle in the folder, which is read and checked whole; accuracy of the integers and
// core where it lies in the run that made it. Payload, versions and parent are the caller's.
DC_MUST_USE enum dc_status dc_run_package(struct dc_package *package, const char *bundle,
                                          struct dc_error *error);

// Results of the run that a bundle lies in, RUN/bundle/STAGE: all of them, those of the stage that
// exported, and of the network that it exported. NULL what there is not.
struct dc_run_facts {
    json_t *results;
    const json_t *stage, *network;  // of results
};
void dc_run_facts(struct dc_run_facts *facts, const char *bundle);
void dc_run_facts_free(struct dc_run_facts *facts);

#endif
