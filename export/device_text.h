// The fragments of exported C, as text: the files of export/device, embedded when building.

#ifndef DC_EXPORT_DEVICE_TEXT_H
#define DC_EXPORT_DEVICE_TEXT_H

struct dc__device_text {
    const char *name, *text;
};
// Ends with a row without a name.
extern const struct dc__device_text dc__device_texts[];

#endif
