/* Sums of squares and products over rows, fold by fold.
 *
 * Rows are dealt to folds and packed, less a reference point, in panels of eight columns: buffer[fold][panel][row][8].
 * Both factors of a product then stream from contiguous memory in cache lines, and a tile of products stays in
 * registers over all rows of a full buffer (the packing of Goto & van de Geijn, ACM TOMS 34 (2008) 12). A buffer is
 * multiplied when it is full, so small folds cost no more than one large one.
 *
 * Of the sums only the upper triangle is kept, in panels as well: panel v holds fields 8v … 8v + 7 times all fields up
 * to 8v + 7, one row of eight after the other.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 8
/* Panels that are multiplied with all others while they are in cache. */
#define LEFT 16
/* Rows that are packed at a time. */
#define BLOCK 128

typedef struct {
    int64_t fields, columns, panels, folds, capacity;
    int threads;
    double *buffer;   /* folds x panels x capacity x WIDTH */
    double *narrow;   /* two sets of sums of a table of few fields, folds x VECTORS x WIDTH; see narrow.h */
    double *sums;     /* folds x triangle(panels); the caller's */
    int64_t *filled;  /* rows waiting in each buffer */
    void *memory;
} Workspace;

/* Numbers in the sums of the first panels: where panel `panels` begins. */
static inline int64_t triangle(int64_t panels) { return WIDTH * WIDTH * (panels * (panels + 1) / 2); }

/* Cells in memory: where they lie, their width, and what is subtracted. */
typedef struct {
    const char *const *column;
    const int64_t *stride;
    const uint8_t *single;
    const double *shift;
} Source;

/* Whether `count` columns from c on are cells of the same width, side by side in each row. */
static int by_rows(const Source *s, int64_t c, int64_t count) {
    int64_t size = s->single[c] ? sizeof(float) : sizeof(double);
    for (int64_t j = 1; j < count; j++)
        if (s->single[c + j] != s->single[c] || s->column[c + j] != s->column[c] + size * j ||
            s->stride[c + j] != s->stride[c])
            return 0;
    return 1;
}

/* splitmix64 (Steele, Lea & Flood 2014), its upper half scaled to the number of folds. */
static inline int64_t fold_of(uint64_t row, uint64_t folds) {
    uint64_t x = row + 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    return (int64_t)(((x >> 32) * folds) >> 32);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define ISA avx512
#define LANES 8
#define TALL 8
#define WIDE 3
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define MASKED
#include "tiles.h"
#undef MASKED
#undef ISA
#undef LANES
#undef TALL
#undef WIDE
#undef TARGET

#define ISA avx2
#define LANES 4
#define TALL 4
#define WIDE 2
#define TARGET __attribute__((target("avx2,fma")))
#include "tiles.h"
#undef ISA
#undef LANES
#undef TALL
#undef WIDE
#undef TARGET
#endif

#define ISA plain
#define LANES 2
#define TALL 2
#define WIDE 4
#define TARGET
#include "tiles.h"

#if defined(__x86_64__)
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#define DISPATCH(call, ...)                                                                                    \
    if (has_avx512()) return call##_avx512(__VA_ARGS__);                                                       \
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return call##_avx2(__VA_ARGS__);       \
    return call##_plain(__VA_ARGS__)
#else
#define DISPATCH(call, ...) return call##_plain(__VA_ARGS__)
#endif

/* Adds the products of a block of panels with a stripe of them; returns where the next stripe begins. */
static int64_t stripe(const double *buffer, int64_t rows, int64_t capacity, int64_t panels, int64_t left, int64_t at,
                      double *sums) {
    DISPATCH(stripe, buffer, rows, capacity, panels, left, at, sums);
}

/* Folds of consecutive rows, or of numbered ones. */
static void deal(int64_t rows, int64_t start, const int64_t *numbers, int64_t folds, int64_t *fold) {
    DISPATCH(deal, rows, start, numbers, folds, fold);
}

/* Packs one panel of rows into their slots, `apart` numbers for each panel before it; NaN when a cell is not finite, else
 * zero. */
static double pack_panel(const Workspace *w, const Source *source, int64_t panel, int64_t apart, int64_t first,
                         int64_t rows, double *const *slot, const double *scale) {
    DISPATCH(pack_panel, w, source, panel, apart, first, rows, slot, scale);
}

#include "narrow.h"

/* A block of panels stays in the second cache while all stripes pass by it. Each piece of the sums, like each panel of
 * the buffers, is one thread's: the order of every sum is the same whatever their number. */
static void multiply(const Workspace *w, const double *buffer, int64_t rows, double *sums) {
    int64_t width = stripe(buffer, 0, w->capacity, w->panels, 0, 0, sums);
    int64_t stripes = (w->panels + width - 1) / width, blocks = (w->panels + LEFT - 1) / LEFT;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(w->threads) if (w->threads > 1)
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t i = 0; i < stripes; i++) stripe(buffer, rows, w->capacity, w->panels, b * LEFT, i * width, sums);
}

static int pack(const Workspace *w, const Source *source, int64_t first, int64_t rows, double *const *slot,
                const double *scale) {
    double residue = 0;
#pragma omp parallel for schedule(static) num_threads(w->threads) if (w->threads > 1) reduction(+ : residue)
    for (int64_t panel = 0; panel < w->panels; panel++)
        residue += pack_panel(w, source, panel, w->capacity * WIDTH, first, rows, slot, scale);
    return residue == 0.0;
}

static void flush(Workspace *w, int64_t fold) {
    if (w->filled[fold]) {
        multiply(w, w->buffer + fold * w->panels * w->capacity * WIDTH, w->filled[fold],
                 w->sums + fold * triangle(w->panels));
        w->filled[fold] = 0;
    }
}

/* Numbers that the sums of a fold take for rows of `columns` numbers, to which a constant 1 is added. */
int64_t cumulant_size(int64_t columns) { return triangle((columns + WIDTH) / WIDTH); }

/* A workspace over sums of the caller's, folds x cumulant_size, zeros to begin with; NULL when memory is short. */
void *cumulant_open(int64_t columns, int64_t folds, int64_t capacity, int threads, double *sums) {
    Workspace *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->columns = columns;
    w->fields = columns + 1;
    w->panels = (w->fields + WIDTH - 1) / WIDTH;
    w->folds = folds;
    w->capacity = capacity;
    w->threads = threads;
    w->sums = sums;
    int64_t waiting = folds * w->panels * capacity * WIDTH, narrow = is_narrow(w) ? 2 * folds * VECTORS * WIDTH : 0;
    w->memory = calloc((size_t)(waiting + narrow + WIDTH), sizeof(double));
    w->filled = calloc((size_t)folds, sizeof(int64_t));
    if (!w->memory || !w->filled) {
        free(w->memory);
        free(w->filled);
        free(w);
        return NULL;
    }
    w->buffer = (double *)(((uintptr_t)w->memory + 63) & ~(uintptr_t)63);
    w->narrow = w->buffer + waiting;
    return w;
}

/* All that a workspace holds beside the sums, where it lies: the rows that wait and sums of few fields, whose length is
 * returned, and how many rows wait in each fold. Written back into an equal workspace, it goes on to the last bit. */
int64_t cumulant_state(void *workspace, double **waiting, int64_t **filled) {
    Workspace *w = workspace;
    *waiting = w->buffer;
    *filled = w->filled;
    return w->folds * (w->panels * w->capacity + (is_narrow(w) ? VECTORS : 0)) * WIDTH;
}

void cumulant_close(void *workspace) {
    Workspace *w = workspace;
    free(w->memory);
    free(w->filled);
    free(w);
}

/* Where each row of a block goes: its buffer's slot, and the factor it is scaled by. Flushes buffers that would
 * overflow, so every row of the block has a slot. */
static void place(Workspace *w, int64_t rows, int64_t start, const int64_t *numbers, const double *weights,
                  double **slot, double *scale, int64_t *before, int64_t *count) {
    int64_t size = w->panels * w->capacity * WIDTH, fold[BLOCK];
    deal(rows, start, numbers, w->folds, fold);
    memset(count, 0, (size_t)w->folds * sizeof *count);
    for (int64_t r = 0; r < rows; r++) count[fold[r]]++;
    for (int64_t f = 0; f < w->folds; f++)
        if (w->filled[f] + count[f] > w->capacity) flush(w, f);
    memcpy(before, w->filled, (size_t)w->folds * sizeof *before);
    for (int64_t r = 0; r < rows; r++) slot[r] = w->buffer + fold[r] * size + w->filled[fold[r]]++ * WIDTH;
    if (weights)
        for (int64_t r = 0; r < rows; r++) scale[r] = sqrt(weights[r]);
}

/* Adds rows until a block of BLOCK rows holds a NaN or an infinity; returns how many were added, or -1 when memory is
 * short.
 *
 * column[j] points to the first cell of column j, stride[j] is the distance of its cells in bytes, and single[j] says
 * that they are float32, not float64. Row r has number numbers[r], or start + r. */
int64_t cumulant_add(void *workspace, int64_t n, const char *const *column, const int64_t *stride,
                     const uint8_t *single, const double *shift, int64_t start, const int64_t *numbers,
                     const double *weights) {
    Workspace *w = workspace;
    double *slot[BLOCK], scale[BLOCK];
    int64_t *before = malloc(2 * (size_t)w->folds * sizeof *before);
    if (!before) return -1;
    Source source = {column, stride, single, shift};
    int64_t done = 0;
    while (done < n) {
        done += add_narrow(w, &source, done, n, start, numbers, weights);
        int64_t rows = n - done < BLOCK ? n - done : BLOCK;
        place(w, rows, start + done, numbers ? numbers + done : NULL, weights ? weights + done : NULL, slot, scale,
              before, before + w->folds);
        if (!pack(w, &source, done, rows, slot, weights ? scale : NULL)) {
            memcpy(w->filled, before, (size_t)w->folds * sizeof *before);
            break;
        }
        done += rows;
    }
    free(before);
    return done;
}

/* Where row i of an upper triangle of q fields, by rows, begins, less i: so that column j is j numbers on. */
static inline int64_t row_of(int64_t i, int64_t q) { return i * q - i * (i + 1) / 2; }

/* The sums of one fold from panels, the constant last, to an upper triangle by rows, the constant first. */
static void by_triangle(const double *from, int64_t panels, int64_t q, int threads, double *to) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t block = 0; block < panels; block++)
        for (int64_t v = block; v < panels; v++)
            for (int64_t i = WIDTH * block; i < WIDTH * (block + 1) && i < q; i++)
                for (int64_t j = WIDTH * v > i ? WIDTH * v : i; j < WIDTH * (v + 1) && j < q; j++) {
                    double sum = from[triangle(v) + i * WIDTH + j % WIDTH];
                    if (j + 1 < q) to[row_of(i + 1, q) + j + 1] = sum;
                    else to[i + 1 < q ? i + 1 : 0] = sum;
                }
}

/* Multiplies what waits and turns the sums of each fold into its upper triangle by rows, which takes no more numbers.
 * They have the constant first; it is packed last, so that rows stay aligned with panels. Returns 0 when memory is
 * short, and has done nothing. The workspace then goes on with `fresh` sums. */
int cumulant_take(void *workspace, double *fresh) {
    Workspace *w = workspace;
    int64_t size = triangle(w->panels);
    double *panels = malloc((size_t)size * sizeof *panels);
    if (!panels) return 0;
    for (int64_t f = 0; f < w->folds; f++) {
        flush(w, f);
        if (is_narrow(w)) settle(w, f, w->sums + f * size);
        memcpy(panels, w->sums + f * size, (size_t)size * sizeof *panels);
        by_triangle(panels, w->panels, w->fields, w->threads, w->sums + f * size);
    }
    free(panels);
    w->sums = fresh;
    return 1;
}

static inline double cell(const Source *s, int64_t j, int64_t r) {
    const char *from = s->column[j] + r * s->stride[j];
    return s->single[j] ? *(const float *)from : *(const double *)from;
}

/* The first row from `first` on that holds a NaN or an infinity; `end` when none before it does. */
static int64_t first_gap(const Source *s, int64_t columns, int64_t first, int64_t end) {
    double residue = 0;
    for (int64_t j = 0; j < columns; j++)
        for (int64_t r = first; r < end; r++) residue += cell(s, j, r) * 0;
    for (int64_t r = first; residue != 0.0 && r < end; r++) {
        double rest = 0;
        for (int64_t j = 0; j < columns; j++) rest += cell(s, j, r) * 0;
        if (rest != 0.0) return r;
    }
    return end;
}

/* Adds the products of those of n rows whose group is `share` modulo `shares`: each group is one thread's. */
static void add_share(const Source *s, int64_t n, int64_t columns, const int64_t *group, int64_t share, int64_t shares,
                      double *z, double *sums) {
    enum { AHEAD = 8, LINE = 8, STEP = 1024 };
    int64_t q = columns + 1, size = q * (q + 1) / 2, row[STEP];
    z[0] = 1;
    for (int64_t first = 0; first < n; first += STEP) {
        int64_t end = first + STEP < n ? first + STEP : n, rows = 0;
        for (int64_t r = first; r < end; r++) {
            row[rows] = r;
            rows += group[r] % shares == share;
        }
        for (int64_t k = 0; k < rows; k++) {
            /* Groups come in any order: the next ones are fetched while this one is summed. */
            if (k + AHEAD < rows)
                for (int64_t i = 0; i < size; i += LINE)
                    __builtin_prefetch(sums + group[row[k + AHEAD]] * size + i, 1);
            for (int64_t j = 0; j < columns; j++) z[j + 1] = cell(s, j, row[k]) - s->shift[j];
            double *to = sums + group[row[k]] * size;
            for (int64_t i = 0; i < q; i++) {
                double factor = z[i];
                for (int64_t j = i; j < q; j++) *to++ += factor * z[j];
            }
        }
    }
}

/* Adds the products of each row, (1, x - shift), to the sums of its group: upper triangles by rows, groups one after
 * the other. Stops before a row with a NaN or an infinity; returns the rows added, or -1 when memory is short. */
int64_t cumulant_groups(int64_t n, int64_t columns, const char *const *column, const int64_t *stride,
                        const uint8_t *single, const double *shift, const int64_t *group, int threads, double *sums) {
    enum { STEP = 1024, LINE = 8 };
    Source source = {column, stride, single, shift};
    int64_t apart = (columns + 2 * LINE) / LINE * LINE, stop = n;
    double *z = malloc((size_t)(threads * apart) * sizeof *z);
    if (!z) return -1;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1) reduction(min : stop)
    for (int64_t first = 0; first < n; first += STEP) {
        int64_t end = first + STEP < n ? first + STEP : n, gap = first_gap(&source, columns, first, end);
        if (gap < end && gap < stop) stop = gap;
    }
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
    for (int64_t share = 0; share < threads; share++)
        add_share(&source, stop, columns, group, share, threads, z + share * apart, sums);
    free(z);
    return stop;
}

#include "levels.h"
#include "powers.h"
