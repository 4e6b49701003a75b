/* The verify_signature of update.h where libsodium is: the signature is minisign's file, as
   `decant package --key` wrote it beside the package. A chip without libsodium checks the same two
   Ed25519 signatures and BLAKE2b-512 with what it has. */

#ifndef DECANT_VERIFY_MINISIGN_H
#define DECANT_VERIFY_MINISIGN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* user: the public key as minisign prints it, a string of 56 characters and a zero. 0: the package
   was signed by its owner, and so was the trusted comment. */
int verify_minisign(void *user, const uint8_t *package, uint32_t bytes, const uint8_t *signature,
                    uint32_t signature_bytes);

#ifdef __cplusplus
}
#endif

#endif
