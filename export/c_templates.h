// The fixed text of exported C: helpers and one kernel an op. Internal to export/.

#ifndef DC_EXPORT_C_TEMPLATES_H
#define DC_EXPORT_C_TEMPLATES_H

#include "qat/imodel.h"

extern const char *const dc__c_layer_struct;
extern const char *const dc__c_requantize_double;
extern const char *const dc__c_requantize_double_up;
extern const char *const dc__c_round_twice;  // before it, and for means
extern const char *const dc__c_requantize_single;
extern const char *const dc__c_requantize_half_even;
extern const char *const dc__c_requantize_even;
extern const char *const dc__c_nearest_even;  // before it, and for averages
extern const char *const dc__c_factor;        // before it, and for additions
extern const char *const dc__c_finish;
extern const char *const dc__c_kernels[DC_IOP_COUNT];  // NULL: emits no kernel
// Those that are others where the profile rounds the op by this rule (dc_profile_rounding). Ends
// with a NULL text.
struct dc__c_variant {
    enum dc_iop op;
    const char *rounding, *text;
};
extern const struct dc__c_variant dc__c_variants[];

#endif
