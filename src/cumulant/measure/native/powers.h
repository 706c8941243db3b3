/* Sums of products of n ≥ 3 fields over rows, fold by fold: Σ w z_i z_j … z_k z_l, where z is the fields less a reference
 * point, and a constant 1 after them.
 *
 * A task multiplies some panels of eight features, products of the first factors, with pairs w z_k z_l of the last two;
 * what is between them scales the features. Pairs lie column by column, so that they are made a vector of rows at a time,
 * and a block of them stays in the cache over all tasks. Which features, pairs and tasks there are is the caller's choice:
 * between them they are to reach each product once, or a few of them twice.
 * Rows wait in one buffer for each fold, in panels of eight columns as in panels.c. */

/* Rows that wait in a buffer. */
#define ROWS 256
/* Numbers in a panel; and from one column to the next, not a power of two, so that they lie on other lines of the cache. */
#define PANEL (ROWS * WIDTH)
#define LENGTH (ROWS + WIDTH)
/* Pairs that are made at a time. */
#define PAIRS 256
/* Pairs of a task are rounded up to so many, which are free to hold anything. */
#define ROUND 8
/* Panels that are multiplied at a time, at most. */
#define BROADEST 3

#if defined(__x86_64__)
#define ISA avx512
#define LANES 8
#define TALL 8
#define BROAD 3
#define TARGET __attribute__((target("avx512f,avx512dq,fma")))
#include "power_tiles.h"
#undef ISA
#undef LANES
#undef TALL
#undef BROAD
#undef TARGET

#define ISA avx2
#define LANES 4
#define TALL 4
#define BROAD 1
#define TARGET __attribute__((target("avx2,fma")))
#include "power_tiles.h"
#undef ISA
#undef LANES
#undef TALL
#undef BROAD
#undef TARGET
#endif

#define ISA plain
#define LANES 2
#define TALL 2
#define BROAD 1
#define TARGET
#include "power_tiles.h"
#undef ISA
#undef LANES
#undef TALL
#undef BROAD
#undef TARGET

/* Features of panels panel … panel + panels - 1 times pairs first … end - 1. */
typedef struct {
    int32_t panel, panels, first, end;
} Task;

/* Products of `depth` columns each; leading factors vary slowest. */
typedef struct {
    int64_t count, depth;
    int32_t *factor;  /* count x depth */
    double *partial;  /* depth x LENGTH: products of the first factors of the last one that was made */
    int64_t made;     /* which that is, or -1 */
} Chain;

typedef struct {
    int64_t columns, panels, folds, tasks, pairs, size;
    Task *task;
    Chain between;    /* one for each task; of depth 0 there are none */
    Chain feature;    /* of depth 1 they are the columns */
    int32_t *pair;    /* pairs x 2 */
    double *buffer;   /* folds x panels x ROWS x WIDTH */
    double *sums;     /* folds x size: for each task pairs x panels x 8 */
    double *weight;   /* folds x LENGTH */
    double *column;   /* panels x WIDTH x LENGTH: the rows of one buffer, column by column */
    double *weighted; /* LENGTH */
    double *made;     /* PAIRS + ROUND x LENGTH */
    double *features; /* panels of features x ROWS x WIDTH */
    double *scaled;   /* BROADEST x ROWS x WIDTH */
    int64_t *filled;  /* rows waiting in each buffer, then rows added to each fold */
    void *memory;
} Powers;

static void power_scale(const double *from, const double *factor, int64_t rows, double *to) {
    DISPATCH(power_scale, from, factor, rows, to);
}

static void power_product(const double *a, const double *b, int64_t rows, double *to) {
    DISPATCH(power_product, a, b, rows, to);
}

static void power_pairs(const double *column, const double *weight, const int32_t *pair, int64_t count, int64_t rows,
                        double *weighted, double *to) {
    DISPATCH(power_pairs, column, weight, pair, count, rows, weighted, to);
}

static void power_multiply(const double *left, int64_t panels, const double *pair, int64_t pairs, int64_t rows,
                           double *sums, int64_t wide) {
    DISPATCH(power_multiply, left, panels, pair, pairs, rows, sums, wide);
}

static void power_columns(Powers *p, const double *buffer, int64_t rows) {
    for (int64_t j = 0; j <= p->columns; j++) {
        const double *from = buffer + (j / WIDTH) * PANEL + j % WIDTH;
        for (int64_t r = 0; r < rows; r++) p->column[j * LENGTH + r] = from[r * WIDTH];
    }
}

/* The product of one chain; what it begins with like the last one is at hand. */
static const double *power_chain(const Powers *p, Chain *c, int64_t which, int64_t rows) {
    const int32_t *now = c->factor + which * c->depth, *old = c->factor + c->made * c->depth;
    int64_t d = 0;
    while (c->made >= 0 && d < c->depth && now[d] == old[d]) d++;
    for (; d < c->depth; d++) {
        const double *column = p->column + now[d] * LENGTH;
        if (d) power_product(c->partial + (d - 1) * LENGTH, column, rows, c->partial + d * LENGTH);
        else memcpy(c->partial, column, (size_t)rows * sizeof(double));
    }
    c->made = which;
    return c->partial + (c->depth - 1) * LENGTH;
}

static const double *power_features(Powers *p, const double *buffer, int64_t rows) {
    if (p->feature.depth == 1) return buffer;
    p->feature.made = -1;
    for (int64_t a = 0; a < p->feature.count; a++) {
        const double *from = power_chain(p, &p->feature, a, rows);
        double *to = p->features + (a / WIDTH) * PANEL + a % WIDTH;
        for (int64_t r = 0; r < rows; r++) to[r * WIDTH] = from[r];
    }
    return p->features;
}

/* Some panels of a task, a few at a time, with the pairs from `pair` on. */
static void power_task(Powers *p, int64_t t, const double *features, const double *pair, int64_t pairs, int64_t rows,
                       double *sums) {
    const Task *task = p->task + t;
    int64_t wide = task->panels * WIDTH;
    const double *left = features + task->panel * PANEL;
    const double *factor = p->between.depth ? power_chain(p, &p->between, t, rows) : NULL;
    for (int64_t done = 0, some; done < task->panels; done += some) {
        int64_t rest = task->panels - done;
        /* Two and two are faster than three and one. */
        some = rest == BROADEST + 1 ? 2 : rest < BROADEST ? rest : BROADEST;
        for (int64_t b = 0; factor && b < some; b++)
            power_scale(left + (done + b) * PANEL, factor, rows, p->scaled + b * PANEL);
        power_multiply(factor ? p->scaled : left + done * PANEL, some, pair, pairs, rows,
                       sums + done * WIDTH, wide);
    }
}

static void power_flush(Powers *p, int64_t fold) {
    int64_t rows = p->filled[fold];
    if (!rows) return;
    const double *buffer = p->buffer + fold * p->panels * PANEL;
    power_columns(p, buffer, rows);
    const double *features = power_features(p, buffer, rows);
    p->between.made = -1;
    for (int64_t first = 0; first < p->pairs; first += PAIRS) {
        int64_t end = first + PAIRS < p->pairs ? first + PAIRS : p->pairs;
        double *sums = p->sums + fold * p->size;
        power_pairs(p->column, p->weight + fold * LENGTH, p->pair + 2 * first, end - first, rows, p->weighted, p->made);
        for (int64_t t = 0; t < p->tasks; t++) {
            const Task *task = p->task + t;
            int64_t from = task->first > first ? task->first : first, to = task->end < end ? task->end : end;
            if (from < to)
                power_task(p, t, features, p->made + (from - first) * LENGTH, to - from, rows,
                           sums + (from - task->first) * task->panels * WIDTH);
            sums += (task->end - task->first + ROUND - 1) / ROUND * ROUND * task->panels * WIDTH;
        }
    }
    p->filled[fold] = 0;
}

void cumulant_powers_close(void *workspace) {
    Powers *p = workspace;
    free(p->memory);
    free(p->filled);
    free(p->task);
    free(p->between.factor);
    free(p->feature.factor);
    free(p->pair);
    free(p);
}

static void *copied(const void *from, int64_t bytes) {
    void *to = malloc((size_t)bytes + 1);
    return to ? memcpy(to, from, (size_t)bytes) : NULL;
}

/* A workspace for products of `columns` numbers and a constant 1; NULL when memory is short. Each task has `depth` factors
 * between; features have `order` factors. Tasks begin at pairs that are multiples of ROUND. */
void *cumulant_powers_open(int64_t columns, int64_t folds, int64_t tasks, const int32_t *task, int64_t depth, const int32_t *between, int64_t features, int64_t order,
                           const int32_t *feature, int64_t pairs, const int32_t *pair, int64_t size) {
    Powers *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    *p = (Powers){columns, (columns + WIDTH) / WIDTH, folds, tasks, pairs, size};
    p->between = (Chain){tasks, depth, copied(between, tasks * depth * (int64_t)sizeof *between)};
    p->feature = (Chain){features, order, copied(feature, features * order * (int64_t)sizeof *feature)};
    p->task = copied(task, tasks * (int64_t)sizeof(Task));
    p->pair = copied(pair, 2 * pairs * (int64_t)sizeof *pair);
    int64_t wide = order == 1 ? 0 : (features + WIDTH - 1) / WIDTH;
    int64_t parts[] = {folds * p->panels * PANEL, folds * size, folds * LENGTH, p->panels * WIDTH * LENGTH,
                       LENGTH, (PAIRS + ROUND) * LENGTH, depth * LENGTH, order * LENGTH,
                       wide * PANEL, BROADEST * PANEL};
    double **place[] = {&p->buffer, &p->sums, &p->weight, &p->column, &p->weighted, &p->made, &p->between.partial,
                        &p->feature.partial, &p->features, &p->scaled};
    int64_t numbers = WIDTH, count = sizeof parts / sizeof *parts;
    for (int64_t i = 0; i < count; i++) numbers += (parts[i] + WIDTH - 1) / WIDTH * WIDTH;
    p->memory = calloc((size_t)numbers, sizeof(double));
    p->filled = calloc((size_t)(2 * folds), sizeof(int64_t));
    if (!p->memory || !p->filled || !p->task || !p->between.factor || !p->feature.factor || !p->pair) {
        cumulant_powers_close(p);
        return NULL;
    }
    double *at = (double *)(((uintptr_t)p->memory + 63) & ~(uintptr_t)63);
    for (int64_t i = 0; i < count; at += (parts[i] + WIDTH - 1) / WIDTH * WIDTH, i++) *place[i] = at;
    return p;
}

/* All that a workspace holds, where it lies: the rows that wait, sums and weights in one run of doubles, whose length
 * is returned, and the counts (2 x folds). Written back into an equal workspace, it goes on to the last bit. */
int64_t cumulant_powers_state(void *workspace, double **numbers, int64_t **filled) {
    Powers *p = workspace;
    *numbers = p->buffer;
    *filled = p->filled;
    return p->weight + p->folds * LENGTH - p->buffer;
}

/* Adds the rows that hold no NaN and no infinity, and returns how many they are. Columns, strides, numbers and weights as
 * in cumulant_add. */
int64_t cumulant_powers_add(void *workspace, int64_t n, const char *const *column, const int64_t *stride,
                         const uint8_t *single, const double *shift, int64_t start, const int64_t *numbers,
                         const double *weights) {
    Powers *p = workspace;
    int64_t added = 0;
    for (int64_t r = 0; r < n; r++) {
        int64_t f = fold_of((uint64_t)(numbers ? numbers[r] : start + r), (uint64_t)p->folds);
        double *slot = p->buffer + f * p->panels * PANEL + p->filled[f] * WIDTH, residue = 0;
        for (int64_t j = 0; j < p->columns; j++) {
            const char *from = column[j] + r * stride[j];
            double x = single[j] ? *(const float *)from : *(const double *)from;
            residue += x - x;
            slot[(j / WIDTH) * PANEL + j % WIDTH] = x - shift[j];
        }
        if (residue != 0.0) continue;
        slot[(p->columns / WIDTH) * PANEL + p->columns % WIDTH] = 1.0;
        p->weight[f * LENGTH + p->filled[f]] = weights ? weights[r] : 1.0;
        p->filled[p->folds + f]++;
        added++;
        if (++p->filled[f] == ROWS) power_flush(p, f);
    }
    return added;
}

/* Multiplies what waits, and copies sums (folds x size) and rows (folds) out. The workspace starts anew. */
void cumulant_powers_take(void *workspace, double *out, int64_t *rows) {
    Powers *p = workspace;
    for (int64_t f = 0; f < p->folds; f++) power_flush(p, f);
    memcpy(out, p->sums, (size_t)(p->folds * p->size) * sizeof *out);
    memset(p->sums, 0, (size_t)(p->folds * p->size) * sizeof *out);
    memcpy(rows, p->filled + p->folds, (size_t)p->folds * sizeof *rows);
    memset(p->filled + p->folds, 0, (size_t)p->folds * sizeof *rows);
}
