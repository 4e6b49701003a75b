// Detached signatures as minisign writes and reads them: Ed25519 over the BLAKE2b-512 of a file,
// with a trusted comment that is signed too (jedisct1.github.io/minisign). The cryptography is
// libsodium's; here are the files around it.

#ifndef DC_EXPORT_MINISIGN_H
#define DC_EXPORT_MINISIGN_H

#include <stdint.h>

#include "core/arena.h"

// A secret key, usable. Erase it with dc_minisign_forget.
struct dc_minisign_key {
    uint8_t id[8], secret[64];
};

// *protected: the key file wants a password.
DC_MUST_USE enum dc_status dc_minisign_is_protected(bool *protected, const char *path,
                                                    struct dc_error *error);
// Reads what `minisign -G` wrote. password: NULL where the file wants none. A wrong password is
// DC_ERR_USAGE, anything else that is wrong DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_minisign_read_key(struct dc_minisign_key *key, const char *path,
                                                const char *password, struct dc_error *error);
void dc_minisign_forget(struct dc_minisign_key *key);

// The text of a signature file, in the arena. Comments are lines without a newline. The same bytes
// for the same input.
DC_MUST_USE enum dc_status dc_minisign_sign(char **text, const struct dc_minisign_key *key,
                                            const void *bytes, size_t size, const char *comment,
                                            const char *trusted_comment, struct dc_arena *arena,
                                            struct dc_error *error);

#endif
