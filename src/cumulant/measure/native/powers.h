/* Sums of products of n ≥ 3 fields over rows, fold by fold: Σ w z_i z_j … z_k z_l, i ≤ j ≤ … ≤ k ≤ l, where z is the
 * fields less a reference point, and a constant 1 after them.
 *
 * The pairs z_k z_l of a row, k descending, are multiplied by z_i for eight i at a time, scaled by w z_j …: a task. Those
 * with k ≥ j come first among the pairs, so that a task leaves out nearly all that other orders of the factors repeat.
 * Rows wait in one buffer for each fold, in panels of eight columns as in panels.c. Pairs are made of a full buffer a
 * block at a time, which stays in the cache over all tasks. */

/* Panels of pairs that are made at a time. */
#define PAIRS 32

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

typedef struct {
    int64_t columns, panels, folds, capacity, tasks, depth, size;
    int32_t *task;    /* tasks x (depth + 2): columns j …, panel of i, panels of pairs */
    double *buffer;   /* folds x panels x capacity x WIDTH */
    double *sums;     /* folds x size: for each task and panel of pairs 8 x 8, i by pairs */
    double *weight;   /* folds x capacity */
    double *pairs;    /* PAIRS x capacity x WIDTH */
    double *scaled;   /* capacity x WIDTH */
    double *factor;   /* capacity */
    double *row;      /* one row, and PAIRS x WIDTH of its pairs, with room for WIDTH more on both sides */
    int64_t *filled;  /* rows waiting in each buffer, then rows added to each fold */
    void *memory;
} Powers;

static void power_scale(const double *from, const double *factor, int64_t rows, double *to) {
    DISPATCH(power_scale, from, factor, rows, to);
}

static void power_multiply(const double *left, const double *right, int64_t rows, int64_t panel, int64_t panels,
                           double *sums) {
    DISPATCH(power_multiply, left, right, rows, panel, panels, sums);
}

static void power_pairs(const double *buffer, int64_t rows, int64_t panel, int64_t panels, int64_t q, int64_t first,
                        double *row, double *pairs) {
    DISPATCH(power_pairs, buffer, rows, panel, panels, q, first, row, pairs);
}

static void power_flush(Powers *p, int64_t fold) {
    int64_t rows = p->filled[fold], panel = p->capacity * WIDTH, q = p->columns + 1;
    int64_t total = (q * (q + 1) / 2 + WIDTH - 1) / WIDTH;
    const double *buffer = p->buffer + fold * p->panels * panel;
    for (int64_t first = 0; rows && first < total; first += PAIRS) {
        double *sums = p->sums + fold * p->size;
        power_pairs(buffer, rows, panel, p->panels, q, first, p->row, p->pairs);
        for (int64_t t = 0; t < p->tasks; t++) {
            const int32_t *task = p->task + t * (p->depth + 2);
            int64_t end = task[p->depth + 1];
            if (end > first) {
                memcpy(p->factor, p->weight + fold * p->capacity, (size_t)rows * sizeof(double));
                for (int64_t d = 0; d < p->depth; d++) {
                    const double *from = buffer + (task[d] / WIDTH) * panel + task[d] % WIDTH;
                    for (int64_t r = 0; r < rows; r++) p->factor[r] *= from[r * WIDTH];
                }
                power_scale(buffer + task[p->depth] * panel, p->factor, rows, p->scaled);
                power_multiply(p->scaled, p->pairs, rows, panel, end - first < PAIRS ? end - first : PAIRS,
                               sums + first * WIDTH * WIDTH);
            }
            sums += end * WIDTH * WIDTH;
        }
    }
    p->filled[fold] = 0;
}

void cumulant_powers_close(void *workspace) {
    Powers *p = workspace;
    free(p->memory);
    free(p->filled);
    free(p->task);
    free(p);
}

/* A workspace for products of depth + 3 of `columns` numbers and a constant 1; NULL when memory is short. */
void *cumulant_powers_open(int64_t columns, int64_t folds, int64_t capacity, int64_t tasks, int64_t depth,
                           const int32_t *task, int64_t size) {
    Powers *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    *p = (Powers){columns, (columns + WIDTH) / WIDTH, folds, capacity, tasks, depth, size};
    int64_t panel = capacity * WIDTH, parts[] = {folds * p->panels * panel, folds * size, folds * capacity,
                                                 PAIRS * panel, panel, capacity, (p->panels + PAIRS + 3) * WIDTH};
    double **place[] = {&p->buffer, &p->sums, &p->weight, &p->pairs, &p->scaled, &p->factor, &p->row};
    int64_t numbers = WIDTH, bytes = tasks * (depth + 2) * (int64_t)sizeof *task;
    for (int i = 0; i < 7; i++) numbers += (parts[i] + WIDTH - 1) / WIDTH * WIDTH;
    p->memory = calloc((size_t)numbers, sizeof(double));
    p->filled = calloc((size_t)(2 * folds), sizeof(int64_t));
    p->task = malloc((size_t)bytes);
    if (!p->memory || !p->filled || !p->task) {
        cumulant_powers_close(p);
        return NULL;
    }
    memcpy(p->task, task, (size_t)bytes);
    double *at = (double *)(((uintptr_t)p->memory + 63) & ~(uintptr_t)63);
    for (int i = 0; i < 7; at += (parts[i] + WIDTH - 1) / WIDTH * WIDTH, i++) *place[i] = at;
    return p;
}

/* All that a workspace holds, where it lies: the rows that wait, sums and weights in one run of doubles, whose length
 * is returned, and the counts (2 x folds). Written back into an equal workspace, it goes on to the last bit. */
int64_t cumulant_powers_state(void *workspace, double **numbers, int64_t **filled) {
    Powers *p = workspace;
    *numbers = p->buffer;
    *filled = p->filled;
    return p->weight + p->folds * p->capacity - p->buffer;
}

/* Adds the rows that hold no NaN and no infinity. Columns, strides, numbers and weights as in cumulant_add. */
void cumulant_powers_add(void *workspace, int64_t n, const char *const *column, const int64_t *stride,
                         const uint8_t *single, const double *shift, int64_t start, const int64_t *numbers,
                         const double *weights) {
    Powers *p = workspace;
    int64_t panel = p->capacity * WIDTH;
    for (int64_t r = 0; r < n; r++) {
        int64_t f = fold_of((uint64_t)(numbers ? numbers[r] : start + r), (uint64_t)p->folds);
        double *slot = p->buffer + f * p->panels * panel + p->filled[f] * WIDTH, residue = 0;
        for (int64_t j = 0; j < p->columns; j++) {
            const char *from = column[j] + r * stride[j];
            double x = single[j] ? *(const float *)from : *(const double *)from;
            residue += x - x;
            slot[(j / WIDTH) * panel + j % WIDTH] = x - shift[j];
        }
        if (residue != 0.0) continue;
        slot[(p->columns / WIDTH) * panel + p->columns % WIDTH] = 1.0;
        p->weight[f * p->capacity + p->filled[f]] = weights ? weights[r] : 1.0;
        p->filled[p->folds + f]++;
        if (++p->filled[f] == p->capacity) power_flush(p, f);
    }
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
