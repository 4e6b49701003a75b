// Owns checked products and the limits of memory. It allocates nothing and reads no foreign file.

#include "core/bounds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FREE_BYTES = 64 * 1024 * 1024, UNPACKED_RATIO = 16, DEFLATE_RATIO = 1032 };

bool dc_product(int64_t *product, const int64_t *factors, int count)
{
    int64_t result = 1;
    for (int i = 0; i < count; i++)
        if (factors[i] < 0 || __builtin_mul_overflow(result, factors[i], &result))
            return false;
    *product = result;
    return true;
}

bool dc_shape_bytes(int64_t *bytes, const struct dc_shape *shape, enum dc_dtype dtype)
{
    int64_t count = 0;
    return dc_product(&count, shape->dims, shape->rank) &&
           dc_product(bytes, (int64_t[]){count, (int64_t)dc_dtype_bytes(dtype)}, 2);
}

// A file of the kernel that holds one number, or "max". Anything else limits nothing.
static int64_t least_of_file(int64_t limit, const char *path)
{
    long long number = 0;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lld", &number) == 1 && number > 0 && number < limit)
        limit = number;
    if (file)
        fclose(file);
    return limit;
}

// cgroup v2: the group's own file and that of every group above it. The line is "0::/a/b".
static int64_t least_of_groups(int64_t limit)
{
    char line[1024] = "", path[1200];
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file) && strncmp(line, "0::", 3) != 0)
        line[0] = '\0';
    if (file)
        fclose(file);
    char *group = strncmp(line, "0::", 3) == 0 ? line + 3 : line;
    group[strcspn(group, "\n")] = '\0';
    for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
        *slash = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        limit = least_of_file(limit, path);
    }
    return least_of_file(limit, "/sys/fs/cgroup/memory/memory.limit_in_bytes");  // cgroup v1
}

int64_t dc_memory_default(void)
{
    struct rlimit address_space;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    int64_t limit = pages > 0 && page > 0 ? (int64_t)pages * page : INT64_C(1) << 32;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur < (rlim_t)limit)
        limit = (int64_t)address_space.rlim_cur;
    return least_of_groups(limit) / 2;
}

enum dc_status dc_want_memory(const char *path, const char *what, int64_t bytes, int64_t limit,
                              struct dc_error *error)
{
    if (limit <= 0 && bytes <= FREE_BYTES)  // without a look at the machine for each small file
        return DC_OK;
    const int64_t most = limit > 0 ? limit : dc_memory_default();
    if (bytes <= most)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA,
                   "%s: %s declares %" PRId64 " bytes, more than the %" PRId64
                   " that limits.memory allows; if the file is right, raise limits.memory in the "
                   "experiment",
                   path, what, bytes, most);
}

static int64_t most(int64_t bytes, int64_t ratio)
{
    return bytes > (INT64_MAX - FREE_BYTES) / ratio ? INT64_MAX : bytes * ratio + FREE_BYTES;
}

int64_t dc_unpacked_most(int64_t file_bytes)
{
    return most(file_bytes, UNPACKED_RATIO);
}

int64_t dc_inflated_most(int64_t stored_bytes)
{
    return most(stored_bytes, DEFLATE_RATIO);
}
