// Owns the layout of minisign's files. Signatures are prehashed ("ED"); checking them is left to
// minisign itself and, on a device, to the firmware's callback (examples/device/update.h).

#include "export/minisign.h"

#include <sodium.h>
#include <string.h>

#include "core/file.h"

enum { SALT = crypto_pwhash_scryptsalsa208sha256_SALTBYTES, CHECK = 32, MOST_TEXT = 4096 };

static const uint64_t most_memory = 2ull << 30;  // minisign's own keys ask for 1 GiB

struct key_numbers {
    uint8_t id[8], secret[64], check[CHECK];
};
struct key_file {
    uint8_t signature[2], derivation[2], checksum[2], salt[SALT], operations[8], memory[8];
    struct key_numbers numbers;  // mixed with what scrypt makes of the password, if it has one
};
_Static_assert(sizeof(struct key_file) == 158, "as minisign lays it out");

struct signature {
    uint8_t algorithm[2], id[8], bytes[crypto_sign_BYTES];
};
_Static_assert(sizeof(struct signature) == 74, "as minisign lays it out");

static uint64_t little_endian(const uint8_t bytes[8])
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static enum dc_status start(struct dc_error *error)
{
    return sodium_init() < 0 ? dc_fail(error, DC_ERR_INTERNAL, "libsodium does not start") : DC_OK;
}

// Whether the text is that of a secret key: a comment, and base64 of its numbers.
static bool decode(struct key_file *key, const char *text, size_t size)
{
    static const char comment[] = "untrusted comment: ";
    const char *line = strchr(text, '\n');
    size_t length = 0;
    return size <= MOST_TEXT && strncmp(text, comment, sizeof comment - 1) == 0 && line &&
           sodium_base642bin((unsigned char *)key, sizeof *key, line + 1, strcspn(line + 1, "\r\n"),
                             NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
           length == sizeof *key && memcmp(key->signature, "Ed", 2) == 0 &&
           memcmp(key->checksum, "B2", 2) == 0;
}

static enum dc_status read_file(struct key_file *key, const char *path, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *text = NULL;
    size_t size = 0;
    DC_TRY(start(error));
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_file_read(&text, &size, path, arena, error);
    if (status == DC_OK && (!text || !decode(key, text, size)))
        status = dc_fail(error, DC_ERR_DATA,
                         "%s is not a secret key of minisign; 'minisign -G' makes one", path);
    if (text)
        sodium_memzero(text, size);
    dc_arena_free(arena);
    return status;
}

static bool is_protected(const struct key_file *key)
{
    return memcmp(key->derivation, "Sc", 2) == 0;
}

enum dc_status dc_minisign_is_protected(bool *protected, const char *path, struct dc_error *error)
{
    struct key_file key;
    DC_TRY(read_file(&key, path, error));
    *protected = is_protected(&key);
    sodium_memzero(&key, sizeof key);
    return DC_OK;
}

static enum dc_status unlock(struct key_file *key, const char *path, const char *password,
                             struct dc_error *error)
{
    uint8_t stream[sizeof key->numbers], *numbers = (uint8_t *)&key->numbers;
    const uint64_t memory = little_endian(key->memory);
    if (!is_protected(key))
        return DC_OK;
    if (!password)
        return dc_fail(error, DC_ERR_USAGE, "%s wants a password", path);
    if (memory > most_memory)
        return dc_fail(error, DC_ERR_DATA, "%s wants %llu bytes of memory for its password", path,
                       (unsigned long long)memory);
    if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof stream, password, strlen(password),
                                           key->salt, little_endian(key->operations),
                                           (size_t)memory) != 0)
        return dc_fail(error, DC_ERR_MEMORY, "no memory for the password of %s", path);
    for (size_t i = 0; i < sizeof stream; i++)
        numbers[i] ^= stream[i];
    sodium_memzero(stream, sizeof stream);
    return DC_OK;
}

// Without a password minisign keeps no checksum; a secret key ends in its public one.
static bool is_whole(const struct key_file *key)
{
    uint8_t check[CHECK], secret[crypto_sign_SECRETKEYBYTES], public[crypto_sign_PUBLICKEYBYTES];
    if (!is_protected(key)) {
        crypto_sign_seed_keypair(public, secret, key->numbers.secret);
        const bool same = sodium_memcmp(secret, key->numbers.secret, sizeof secret) == 0;
        sodium_memzero(secret, sizeof secret);
        return same;
    }
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof check);
    crypto_generichash_update(&state, key->signature, sizeof key->signature);
    crypto_generichash_update(&state, key->numbers.id, sizeof key->numbers.id);
    crypto_generichash_update(&state, key->numbers.secret, sizeof key->numbers.secret);
    crypto_generichash_final(&state, check, sizeof check);
    return sodium_memcmp(check, key->numbers.check, sizeof check) == 0;
}

enum dc_status dc_minisign_read_key(struct dc_minisign_key *key, const char *path,
                                    const char *password, struct dc_error *error)
{
    struct key_file file;
    DC_TRY(read_file(&file, path, error));
    enum dc_status status = unlock(&file, path, password, error);
    if (status == DC_OK && !is_whole(&file))
        status = is_protected(&file)
                     ? dc_fail(error, DC_ERR_USAGE, "that is not the password of %s", path)
                     : dc_fail(error, DC_ERR_DATA, "%s is damaged: its halves do not fit", path);
    if (status == DC_OK) {
        memcpy(key->id, file.numbers.id, sizeof key->id);
        memcpy(key->secret, file.numbers.secret, sizeof key->secret);
    }
    sodium_memzero(&file, sizeof file);
    return status;
}

void dc_minisign_forget(struct dc_minisign_key *key)
{
    sodium_memzero(key, sizeof *key);
}

enum dc_status dc_minisign_sign(char **text, const struct dc_minisign_key *key, const void *bytes,
                                size_t size, const char *comment, const char *trusted_comment,
                                struct dc_arena *arena, struct dc_error *error)
{
    struct signature signature = {.algorithm = "ED"};
    uint8_t hash[crypto_generichash_BYTES_MAX], all[crypto_sign_BYTES];
    char first[sodium_base64_ENCODED_LEN(sizeof signature, sodium_base64_VARIANT_ORIGINAL)];
    char second[sodium_base64_ENCODED_LEN(sizeof all, sodium_base64_VARIANT_ORIGINAL)];
    const size_t length = strlen(trusted_comment);
    uint8_t *signed_too = dc_arena_alloc(arena, sizeof signature.bytes + length + 1, error);
    if (!signed_too)
        return DC_ERR_MEMORY;
    DC_TRY(start(error));
    memcpy(signature.id, key->id, sizeof signature.id);
    crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    crypto_sign_detached(signature.bytes, NULL, hash, sizeof hash, key->secret);
    memcpy(signed_too, signature.bytes, sizeof signature.bytes);
    memcpy(signed_too + sizeof signature.bytes, trusted_comment, length + 1);
    crypto_sign_detached(all, NULL, signed_too, sizeof signature.bytes + length, key->secret);
    sodium_bin2base64(first, sizeof first, (const uint8_t *)&signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(second, sizeof second, all, sizeof all, sodium_base64_VARIANT_ORIGINAL);
    *text = dc_arena_printf(arena, error, "untrusted comment: %s\n%s\ntrusted comment: %s\n%s\n",
                            comment, first, trusted_comment, second);
    return *text ? DC_OK : DC_ERR_MEMORY;
}
