// A picture of what training sees: samples as they are, and augmented.

#ifndef DC_DATA_CONTACT_SHEET_H
#define DC_DATA_CONTACT_SHEET_H

#include "data/loader.h"

// A word in the file by which core/folder.h knows it as Decant's.
#define DC_CONTACT_SHEET_MARK "Decant contact sheet"

// Rows of one sample each, the first ids of every class in turn, as many as fit: as it is, then as
// the first epochs of `training` show it (its batch, ids, views and threads do not matter; mixing
// draws partners from its ids). Images of 1 or 3 channels of bytes; else DC_ERR_DATA. Written
// whole.
DC_MUST_USE enum dc_status dc_contact_sheet_write(const char *path,
                                                  const struct dc_loader_config *training,
                                                  struct dc_error *error);

#endif
