// Owns the placement of blocks by lifetimes. What a block is, and what a step may overwrite, is the
// caller's knowledge.

#include "qat/planner.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/random.h"

enum { CLIMB_WORK = 4000000, CLIMBS_MAX = 2000 };  // looks at pairs of blocks, and exchanges

struct planner {
    struct dc_block *blocks;
    int count;
    int *order;  // in which they are placed
};

// Where `wanted` must not begin because of `placed`: above low and below high.
static void forbidden(int64_t *low, int64_t *high, const struct planner *p, int wanted, int placed)
{
    const struct dc_block *w = &p->blocks[wanted], *v = &p->blocks[placed];
    *low = v->offset - w->bytes;
    *high = v->offset + v->bytes;
    if (v->successor == wanted && v->offset - v->distance > *low)
        *low = v->offset - v->distance;
    if (w->successor == placed && v->offset + w->distance < *high)
        *high = v->offset + w->distance;
}

static int64_t lowest_free(const struct planner *p, int wanted, int placed)
{
    const struct dc_block *w = &p->blocks[wanted];
    int64_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < placed; i++) {
            const struct dc_block *v = &p->blocks[p->order[i]];
            int64_t low, high;
            if (v->first > w->last || w->first > v->last)
                continue;
            forbidden(&low, &high, p, wanted, p->order[i]);
            if (low < offset && offset < high) {
                offset = high;
                moved = true;
            }
        }
    }
    return offset;
}

static int64_t place_in_order(struct planner *p)
{
    int64_t bytes = 0;
    for (int i = 0; i < p->count; i++) {
        struct dc_block *block = &p->blocks[p->order[i]];
        block->offset = lowest_free(p, p->order[i], i);
        bytes = block->offset + block->bytes > bytes ? block->offset + block->bytes : bytes;
    }
    return bytes;
}

static bool is_alive(const struct dc_block *block, int step)
{
    return block->first <= step && step <= block->last;
}

static int64_t bytes_apart(const struct planner *p, int step)
{
    int64_t sum = 0;
    for (int i = 0; i < p->count; i++)
        sum += is_alive(&p->blocks[i], step) ? p->blocks[i].bytes : 0;
    return sum;
}

// What output y can save by lying over inputs. Over one it takes `distance` more than that, or its
// own end reaches further; over several it saves no more than itself. *input: the one it can lie
// over; -1: none, or several.
static int64_t bytes_saved(const struct planner *p, int y, int *input)
{
    int64_t saved = 0;
    int inputs = 0;
    for (int i = 0; i < p->count; i++) {
        const struct dc_block *x = &p->blocks[i];
        if (x->successor != y)
            continue;
        const int64_t over = x->bytes + x->distance, own = p->blocks[y].bytes;
        const int64_t end = over > own ? over : own;
        saved += end < x->bytes + own ? x->bytes + own - end : 0;
        *input = inputs++ ? -1 : i;
    }
    *input = inputs ? *input : -1;
    return saved < p->blocks[y].bytes ? saved : p->blocks[y].bytes;
}

// In less than so many bytes (*least, raised where that is too few) block y and the one it is made
// of, and that one and what it was made of, and so on, must lie over each other: each begins
// `distance` before the one before, so the first ends that much higher; what is alive all the time
// lies outside. *least is raised to the least with which that is no longer so, or fits.
static bool raise_for_chain(int64_t *least, const struct planner *p, int y)
{
    const int end = p->blocks[y].first;
    int64_t slid = 0, apart = INT64_MAX;
    for (int x = -1; bytes_saved(p, y, &x) > 0 && x >= 0; y = x) {
        const int step = p->blocks[y].first;
        const int64_t here = bytes_apart(p, step);
        int64_t needed = p->blocks[x].bytes;
        if (here <= *least)
            return false;
        apart = here < apart ? here : apart;
        slid += p->blocks[x].distance;
        needed += slid;
        for (int i = 0; i < p->count; i++)
            if (p->blocks[i].first < step && p->blocks[i].last > end)
                needed += p->blocks[i].bytes;
        if (needed > *least) {
            *least = needed < apart ? needed : apart;
            return true;
        }
    }
    return false;
}

static void find_bound(struct dc_block_plan *plan, const struct planner *p)
{
    int last = -1;
    for (int i = 0; i < p->count; i++)
        last = p->blocks[i].last > last ? p->blocks[i].last : last;
    for (int step = 0; step <= last; step++) {
        int64_t bytes = bytes_apart(p, step);
        for (int y = 0, x; y < p->count; y++)
            bytes -= p->blocks[y].first == step ? bytes_saved(p, y, &x) : 0;
        if (bytes > plan->bound) {
            plan->bound = bytes;
            plan->busiest = step;
        }
    }
    for (int y = 0; y < p->count; y++)
        if (raise_for_chain(&plan->bound, p, y)) {
            plan->busiest = p->blocks[y].first;
            y = -1;
        }
}

// Among equals the last first: what is made of it lies below.
static void order_by_size(struct planner *p)
{
    for (int i = 0; i < p->count; i++) {
        int k = i;
        for (; k > 0 && p->blocks[p->order[k - 1]].bytes <= p->blocks[i].bytes; k--)
            p->order[k] = p->order[k - 1];
        p->order[k] = i;
    }
}

static void exchange(int *order, int a, int b)
{
    const int first = order[a];
    order[a] = order[b];
    order[b] = first;
}

static void climb(struct dc_block_plan *plan, struct planner *p)
{
    struct dc_random random;
    const int64_t pairs = (int64_t)p->count * p->count + 1;
    const int64_t climbs = CLIMB_WORK / pairs < CLIMBS_MAX ? CLIMB_WORK / pairs : CLIMBS_MAX;
    dc_random_start(&random, 0, DC_PURPOSE_PLACEMENT, 0, (uint64_t)p->count);
    for (int64_t n = 0; n < climbs && plan->bytes > plan->bound && p->count > 1; n++) {
        const int a = (int)dc_random_below(&random, (uint32_t)p->count);
        const int b = (int)dc_random_below(&random, (uint32_t)p->count);
        exchange(p->order, a, b);
        const int64_t bytes = place_in_order(p);
        if (bytes > plan->bytes)
            exchange(p->order, a, b);
        else
            plan->bytes = bytes;
    }
    plan->bytes = place_in_order(p);  // the last try may have been a worse one
}

enum dc_status dc_blocks_place(struct dc_block_plan *plan, struct dc_block *blocks, int count,
                               struct dc_error *error)
{
    *plan = (struct dc_block_plan){0};
    int *order = dc_alloc((size_t)(count + 1) * sizeof *order, error);
    if (!order)
        return DC_ERR_MEMORY;
    struct planner p = {blocks, count, order};
    find_bound(plan, &p);
    order_by_size(&p);
    plan->bytes = place_in_order(&p);
    climb(plan, &p);
    free(order);
    return DC_OK;
}
