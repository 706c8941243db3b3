/* Sums of few fields. Of a block of rows those of each fold are summed in turn, straight from the table while it is in
 * cache: nothing is packed, and all products of a fold stay in registers. That needs the 32 wide registers of AVX-512;
 * with fewer, panels are faster.
 *
 * A row is at most two vectors of eight fields, the constant last. A vector times itself rotated by k = 0 … 4 has each
 * pair of its fields once (twice at half a turn), and the first vector times a field of the last has eight pairs more:
 * 10 products of vectors for the 66 sums of ten columns.
 */

/* Rotations of a vector, by which it meets all of itself. */
#define TURNS 5
/* Vectors of the sums of a fold: rotations of the first, of the last, and the first times each field of the last. */
#define LAST TURNS
#define MIXED (2 * TURNS)
#define VECTORS (2 * TURNS + WIDTH)
/* Rows of a block, and folds whose rows in it are worth a loop of their own. */
#define SLICE 256
#define FEW_FOLDS 32

/* Whether a workspace has room for such sums, on any processor: its state must not hang on that. */
static int is_narrow(const Workspace *w) { return w->panels <= 2 && w->folds <= FEW_FOLDS; }

/* Adds the product of two fields to its place in the panels. */
static void place_product(const Workspace *w, double *sums, int64_t i, int64_t j, double product) {
    int64_t low = i < j ? i : j, high = i < j ? j : i;
    if (high < w->fields) sums[triangle(high / WIDTH) + low * WIDTH + high % WIDTH] += product;
}

/* Moves the sums of a fold to its panels. */
static void settle(const Workspace *w, int64_t fold, double *sums) {
    double *from = w->narrow + fold * VECTORS * WIDTH;
    int64_t before = (w->panels - 1) * WIDTH, q = w->fields - before;
    for (int64_t k = 0; k < TURNS; k++)
        for (int64_t i = 0; i < WIDTH; i++) {
            if (before && (2 * k < WIDTH || i < k)) place_product(w, sums, i, (i + k) % WIDTH, from[k * WIDTH + i]);
            if (2 * k <= q && i < (2 * k < q ? q : k))
                place_product(w, sums, before + i, before + (i + k) % q, from[(LAST + k) * WIDTH + i]);
        }
    for (int64_t j = 0; before && j < q; j++)
        for (int64_t i = 0; i < WIDTH; i++) place_product(w, sums, i, before + j, from[(MIXED + j) * WIDTH + i]);
    memset(from, 0, VECTORS * WIDTH * sizeof *from);
}

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
typedef octet_avx512 octet;

/* Where the first and the last vector of a block's rows lie, the cells to read in the last, and what is subtracted; and
 * memory to fetch ahead of its use, `step` bytes with each row. */
typedef struct {
    const char *first, *last, *ahead;
    int64_t stride, step, count;
    int single;
    octet first_base, last_base;
} Origin;

/* The lanes k, k + step, … of a vector, counted modulo q: one instruction once k, q and step are known. */
AVX512 static inline __attribute__((always_inline)) octet lanes(octet x, int k, int step, int q) {
#ifdef __clang__
    octet y;
    for (int i = 0; i < WIDTH; i++) y[i] = x[(k + step * i) % q];
    return y;
#else
    int64_t from __attribute__((vector_size(64)));
    for (int i = 0; i < WIDTH; i++) from[i] = (k + step * i) % q;
    return __builtin_shuffle(x, from);
#endif
}

/* The sums of one fold after some rows of a block, from those before; of the block `done` rows are summed. The last
 * vector has `columns` cells, then the constant. Zero when all is finite, else NaN. */
AVX512 static inline __attribute__((always_inline)) double products(
    const Origin *at, int64_t done, const uint8_t *row, int64_t rows, int two, int columns, const octet *before,
    octet *after) {
    octet first[TURNS] = {0}, last[TURNS] = {0}, mixed[WIDTH] = {0};
    const int turns = (columns + 1) / 2 + 1;
    const char *ahead = at->ahead + done * at->step;
    for (int64_t r = 0; r < rows; r++) {
        int64_t offset = row[r] * at->stride;
        const char *soon = ahead + r * at->step;
        __builtin_prefetch(soon);
        if (two) __builtin_prefetch(soon + WIDTH * sizeof(double));
        octet y = across_avx512(at->last + offset, at->single, at->count) - at->last_base;
#pragma GCC unroll 8
        for (int k = 0; k < turns; k++) last[k] += y * lanes(y, k, 1, columns + 1);
        if (!two) continue;
        octet x = across_avx512(at->first + offset, at->single, WIDTH) - at->first_base;
#pragma GCC unroll 8
        for (int k = 0; k < TURNS; k++) first[k] += x * lanes(x, k, 1, WIDTH);
#pragma GCC unroll 8
        for (int j = 0; j <= columns; j++) mixed[j] += x * lanes(y, j, 0, WIDTH);
    }
#pragma GCC unroll 8
    for (int k = 0; k < turns; k++) after[LAST + k] = before[LAST + k] + last[k];
    octet residue = after[LAST] * 0;
    if (two) {
#pragma GCC unroll 8
        for (int k = 0; k < TURNS; k++) after[k] = before[k] + first[k];
#pragma GCC unroll 8
        for (int j = 0; j <= columns; j++) after[MIXED + j] = before[MIXED + j] + mixed[j];
        residue += after[0] * 0;
    }
    double rest = 0;
    for (int j = 0; j < WIDTH; j++) rest += residue[j];
    return rest;
}

AVX512 static double products_of(const Origin *at, int64_t done, const uint8_t *row, int64_t rows, int two,
                                 int64_t columns, const octet *before, octet *after) {
    switch (columns + WIDTH * two) {
#define CASE(two, columns)                                                                                     \
    case columns + WIDTH * two: return products(at, done, row, rows, two, columns, before, after);
#define CASES(two) \
    CASE(two, 0) CASE(two, 1) CASE(two, 2) CASE(two, 3) CASE(two, 4) CASE(two, 5) CASE(two, 6) CASE(two, 7)
        CASES(0) CASES(1)
#undef CASES
#undef CASE
    }
    return NAN;
}

/* A block of rows from row `done` on: in the table itself, or in a copy where their cells lie side by side. */
AVX512 static Origin origin_of(const Workspace *w, const Source *s, int64_t done, int64_t rows,
                               const double *weights, double *copy) {
    int64_t before = (w->panels - 1) * WIDTH, count = w->columns - before;
    Origin at = {.count = count};
    if (!weights && by_rows(s, 0, w->columns)) {
        at.stride = s->stride[0];
        at.single = s->single[0];
        at.first = s->column[0] + done * at.stride;
        at.last = at.first + before * (at.single ? sizeof(float) : sizeof(double));
        for (int64_t j = 0; j < before; j++) at.first_base[j] = s->shift[j];
        for (int64_t j = 0; j < count; j++) at.last_base[j] = s->shift[before + j];
        at.last_base[count] = -1;
        at.ahead = at.first + SLICE * at.stride;
        at.step = at.stride;
        return at;
    }
    double *slot[SLICE], scale[SLICE];
    for (int64_t r = 0; r < rows; r++) slot[r] = copy + r * WIDTH;
    for (int64_t r = 0; weights && r < rows; r++) scale[r] = sqrt(weights[r]);
    for (int64_t v = 0; v < w->panels; v++)
        pack_panel(w, s, v, SLICE * WIDTH, done, rows, slot, weights ? scale : NULL);
    at.first = at.ahead = (char *)copy;
    at.last = (char *)(copy + (w->panels - 1) * SLICE * WIDTH);
    at.stride = WIDTH * sizeof(double);
    at.count = WIDTH;
    return at;
}

/* The rows of a block by fold, one fold after the other; fold f begins at first[f]. */
static void sort_rows(int64_t rows, const int64_t *fold, int64_t folds, uint8_t *row, int64_t *first) {
    int64_t next[FEW_FOLDS] = {0}, sum = 0;
    for (int64_t r = 0; r < rows; r++) next[fold[r]]++;
    for (int64_t f = 0; f < folds; f++) {
        first[f] = sum;
        sum += next[f];
        next[f] = first[f];
    }
    first[folds] = sum;
    for (int64_t r = 0; r < rows; r++) row[next[fold[r]]++] = (uint8_t)r;
}

/* Adds rows begin … n - 1 while blocks of them are finite; returns how many. The sums after a block go to the other set,
 * so that nothing is lost when one of them is not. */
AVX512 static int64_t add_few(Workspace *w, const Source *s, int64_t begin, int64_t n, int64_t start,
                              const int64_t *numbers, const double *weights) {
    double copy[2 * SLICE * WIDTH] __attribute__((aligned(64)));
    int64_t fold[SLICE], first[FEW_FOLDS + 1], done = begin, size = w->folds * VECTORS;
    uint8_t row[SLICE];
    octet *before = (octet *)w->narrow, *after = before + size;
    while (done < n) {
        int64_t rows = n - done < SLICE ? n - done : SLICE;
        deal(rows, start + done, numbers ? numbers + done : NULL, w->folds, fold);
        sort_rows(rows, fold, w->folds, row, first);
        Origin at = origin_of(w, s, done, rows, weights ? weights + done : NULL, copy);
        double residue = 0;
        for (int64_t f = 0; f < w->folds; f++)
            residue += products_of(&at, first[f], row + first[f], first[f + 1] - first[f], w->panels > 1,
                                   w->columns % WIDTH, before + f * VECTORS, after + f * VECTORS);
        if (residue != 0.0) break;
        octet *swapped = before;
        before = after;
        after = swapped;
        done += rows;
    }
    if (before != (octet *)w->narrow) memcpy(w->narrow, before, (size_t)size * sizeof *before);
    return done - begin;
}
#endif

/* Adds rows begin … n - 1 while blocks of them are finite, where the processor can; returns how many. */
static int64_t add_narrow(Workspace *w, const Source *s, int64_t begin, int64_t n, int64_t start,
                          const int64_t *numbers, const double *weights) {
#if defined(__x86_64__)
    if (is_narrow(w) && has_avx512()) return add_few(w, s, begin, n, start, numbers, weights);
#endif
    return 0;
}
