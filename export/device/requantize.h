// The one file that is never exported: in its place the exporter puts the rounding of the profile.
// A test or a linter that compiles a kernel as it stands may name another.
#pragma once

#ifndef REQUANTIZE
#define REQUANTIZE "export/device/requantize_double.h"
#endif
#include REQUANTIZE
