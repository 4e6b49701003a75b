// Files of this repository as text, embedded when building.

#ifndef DC_EXPORT_DEVICE_TEXT_H
#define DC_EXPORT_DEVICE_TEXT_H

struct dc__device_text {
    const char *name, *text;
};
// Each ends with a row without a name.
extern const struct dc__device_text dc__device_texts[];   // export/device/NAME.h
extern const struct dc__device_text dc__rtl_texts[];      // export/rtl/NAME.sv and .svh
extern const struct dc__device_text dc__example_texts[];  // examples/device/NAME, and runtimes.py

#endif
