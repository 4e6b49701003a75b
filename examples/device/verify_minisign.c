/* Owns the lines of a signature file: an untrusted comment, "ED" with the key's number and a
   signature of the package's BLAKE2b-512, the trusted comment, a signature of both. */

#include "verify_minisign.h"

#include <sodium.h>
#include <string.h>

enum { NUMBER = 8, MOST_COMMENT = 1024 };

/* "Ed", the number, the key; "ED", the number, the signature. */
struct public_key {
    unsigned char algorithm[2], number[NUMBER], key[crypto_sign_PUBLICKEYBYTES];
};
struct signed_hash {
    unsigned char algorithm[2], number[NUMBER], signature[crypto_sign_BYTES];
};

/* The next line of the file, without its end; 0: there is none. */
static const char *next_line(const char **at, const char *end, size_t *length)
{
    const char *line = *at, *newline;
    if (line >= end)
        return 0;
    newline = memchr(line, '\n', (size_t)(end - line));
    *at = newline ? newline + 1 : end;
    *length = (size_t)((newline ? newline : end) - line);
    if (*length > 0 && line[*length - 1] == '\r')
        --*length;
    return line;
}

static int decode(void *to, size_t size, const char *text, size_t length)
{
    size_t decoded = 0;
    return text &&
                   sodium_base642bin(to, size, text, length, 0, &decoded, 0,
                                     sodium_base64_VARIANT_ORIGINAL) == 0 &&
                   decoded == size
               ? 0
               : 1;
}

int verify_minisign(void *user, const uint8_t *package, uint32_t bytes, const uint8_t *signature,
                    uint32_t signature_bytes)
{
    static const char prefix[] = "trusted comment: ";
    const size_t skipped = sizeof prefix - 1;
    const char *at = (const char *)signature, *end = at + signature_bytes, *line;
    unsigned char hash[crypto_generichash_BYTES_MAX], all[crypto_sign_BYTES];
    unsigned char both[crypto_sign_BYTES + MOST_COMMENT];
    struct public_key key;
    struct signed_hash of_package;
    size_t length = 0, comment_length;
    const char *comment;
    if (sodium_init() < 0 || decode(&key, sizeof key, user, strlen(user)) ||
        !next_line(&at, end, &length))
        return 1;
    line = next_line(&at, end, &length);
    if (decode(&of_package, sizeof of_package, line, length) ||
        memcmp(of_package.algorithm, "ED", 2) != 0 || memcmp(key.algorithm, "Ed", 2) != 0 ||
        memcmp(of_package.number, key.number, NUMBER) != 0)
        return 1;
    comment = next_line(&at, end, &comment_length);
    if (!comment || comment_length < skipped || comment_length - skipped > MOST_COMMENT ||
        memcmp(comment, prefix, skipped) != 0)
        return 1;
    line = next_line(&at, end, &length);
    if (decode(all, sizeof all, line, length))
        return 1;
    comment_length -= skipped;
    memcpy(both, of_package.signature, sizeof of_package.signature);
    memcpy(both + sizeof of_package.signature, comment + skipped, comment_length);
    crypto_generichash(hash, sizeof hash, package, bytes, 0, 0);
    return crypto_sign_verify_detached(of_package.signature, hash, sizeof hash, key.key) != 0 ||
           crypto_sign_verify_detached(all, both, sizeof of_package.signature + comment_length,
                                       key.key) != 0;
}
