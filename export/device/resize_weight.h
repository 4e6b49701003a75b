/* Stands for the method of resizing, and is never exported: any of them will do here. */
#pragma once

#include "export/device/resize_weight_bilinear.h"
