/* Tiles of TALL x (WIDE vectors of LANES) products in registers, for one instruction set; included once for each. */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(vector, ISA)
#define LOOSE JOIN(loose, ISA)

typedef double VECTOR __attribute__((vector_size(LANES * 8)));
typedef double LOOSE __attribute__((vector_size(LANES * 8), aligned(8)));

/* Vectors per panel of eight columns. */
#define SPLIT (WIDTH / LANES)

/* Adds the products of fields i, i+1, … (TALL of them) with `wide` vectors from vector v on. Both loops over the tile
 * have constant bounds once inlined, so the accumulators stay in registers. */
TARGET static inline __attribute__((always_inline)) void JOIN(tile, ISA)(
    const double *buffer, int64_t rows, int64_t capacity, int64_t i, int64_t v, int wide, double *sums) {
    const double *left = buffer + (i / WIDTH) * capacity * WIDTH + i % WIDTH;
    const double *right[WIDE];
    VECTOR sum[TALL][WIDE];
    for (int b = 0; b < wide; b++) {
        right[b] = buffer + ((v + b) / SPLIT) * capacity * WIDTH + ((v + b) % SPLIT) * LANES;
        for (int a = 0; a < TALL; a++) sum[a][b] = (VECTOR){0};
    }
    for (int64_t r = 0; r < rows; r++) {
        VECTOR x[WIDE];
        for (int b = 0; b < wide; b++) x[b] = *(const VECTOR *)(right[b] + r * WIDTH);
#pragma GCC unroll 8
        for (int a = 0; a < TALL; a++)
#pragma GCC unroll 4
            for (int b = 0; b < wide; b++) sum[a][b] += left[r * WIDTH + a] * x[b];
    }
#pragma GCC unroll 3
    for (int b = 0; b < wide; b++) {
        double *to = sums + triangle((v + b) / SPLIT) + i * WIDTH + ((v + b) % SPLIT) * LANES;
#pragma GCC unroll 8
        for (int a = 0; a < TALL; a++) *(LOOSE *)(to + a * WIDTH) += sum[a][b];
    }
}

/* Adds the products of the fields of LEFT panels from panel `left` on with the WIDE / SPLIT panels from panel `at` on;
 * returns the first panel after those. */
TARGET static int64_t JOIN(stripe, ISA)(const double *buffer, int64_t rows, int64_t capacity, int64_t panels,
                                        int64_t left, int64_t at, double *sums) {
    int64_t next = at + WIDE / SPLIT, end = next < panels ? next : panels;
    int64_t last = left + LEFT < end ? left + LEFT : end;
    for (int64_t i = left * WIDTH; rows && i < last * WIDTH; i += TALL) {
        /* Only panels that reach the upper triangle. */
        int64_t first = i / WIDTH > at ? i / WIDTH : at, v = first * SPLIT, wide = (end - first) * SPLIT;
        if (wide == SPLIT) JOIN(tile, ISA)(buffer, rows, capacity, i, v, SPLIT, sums);
#if WIDE >= 2 * SPLIT
        else if (wide == 2 * SPLIT) JOIN(tile, ISA)(buffer, rows, capacity, i, v, 2 * SPLIT, sums);
#endif
#if WIDE >= 3 * SPLIT
        else JOIN(tile, ISA)(buffer, rows, capacity, i, v, 3 * SPLIT, sums);
#endif
    }
    return next;
}

typedef double JOIN(octet, ISA) __attribute__((vector_size(64)));
typedef double JOIN(loose_octet, ISA) __attribute__((vector_size(64), aligned(8)));
#define OCTET JOIN(octet, ISA)
#define LOOSE_OCTET JOIN(loose_octet, ISA)

/* Eight columns of eight rows to eight rows of eight columns. */
TARGET static inline __attribute__((always_inline)) void JOIN(transpose, ISA)(OCTET *x) {
    OCTET y[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        int a = (i & 1) + (i & 2) * 2;
        x[a] = __builtin_shufflevector(y[a], y[a + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        x[a + 2] = __builtin_shufflevector(y[a], y[a + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        y[i] = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        y[i + 4] = __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) x[i] = y[i];
}

/* The first `count` of eight cells side by side, and zeros; what lies behind them is not touched. */
TARGET static inline __attribute__((always_inline)) OCTET JOIN(across, ISA)(const char *from, int single,
                                                                            int64_t count) {
#ifdef MASKED
    __mmask8 mask = (__mmask8)((1 << count) - 1);
    return single ? (OCTET)_mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, from))
                  : (OCTET)_mm512_maskz_loadu_pd(mask, from);
#else
    if (!single && count == WIDTH) return *(const LOOSE_OCTET *)from;
    OCTET x = {0};
    for (int64_t j = 0; j < count; j++) x[j] = single ? ((const float *)from)[j] : ((const double *)from)[j];
    return x;
#endif
}

/* Eight cells of a column from row r on. */
TARGET static inline __attribute__((always_inline)) OCTET JOIN(down, ISA)(const Source *s, int64_t j, int64_t r) {
    int64_t stride = s->stride[j];
    const char *from = s->column[j] + r * stride;
    OCTET x;
    __builtin_prefetch(from + BLOCK * stride);
    if (!s->single[j] && stride == sizeof(double)) return *(const LOOSE_OCTET *)from;
    if (s->single[j])
        for (int i = 0; i < WIDTH; i++) x[i] = *(const float *)(from + i * stride);
    else
        for (int i = 0; i < WIDTH; i++) x[i] = *(const double *)(from + i * stride);
    return x;
}

/* Packs panel `panel` of rows first … first + rows - 1 into their slots. The returned sum of 0 x is NaN where a cell
 * was not finite, and zero otherwise. */
TARGET static double JOIN(pack_panel, ISA)(const Workspace *w, const Source *s, int64_t panel, int64_t apart,
                                           int64_t first, int64_t rows, double *const *slot, const double *scale) {
    int64_t c = panel * WIDTH, r = 0, offset = panel * apart;
    int64_t count = w->columns - c < WIDTH ? w->columns - c : WIDTH;
    /* What is subtracted: a cell that is not there counts as 0, and the one after the last column ends as 1. */
    OCTET zero = {0}, residue = zero, base = zero;
    for (int64_t j = 0; j < count; j++) base[j] = s->shift[c + j];
    if (count < WIDTH) base[count] = -1;
    if (count > 0 && by_rows(s, c, count)) {
        int64_t stride = s->stride[c];
        const char *from = s->column[c] + first * stride;
        for (; r < rows; r++, from += stride) {
            __builtin_prefetch(from + BLOCK * stride);
            OCTET x = JOIN(across, ISA)(from, s->single[c], count);
            residue += x * zero;
            x -= base;
            *(OCTET *)(slot[r] + offset) = scale ? x * scale[r] : x;
        }
    }
    for (; r + WIDTH <= rows; r += WIDTH) {
        OCTET x[WIDTH];
        for (int64_t j = 0; j < WIDTH; j++) {
            x[j] = j < count ? JOIN(down, ISA)(s, c + j, first + r) : zero;
            residue += x[j] * zero;
            x[j] -= base[j];
        }
        JOIN(transpose, ISA)(x);
        for (int i = 0; i < WIDTH; i++) *(OCTET *)(slot[r + i] + offset) = scale ? x[i] * scale[r + i] : x[i];
    }
    double rest = 0;
    for (; r < rows; r++)
        for (int64_t j = 0; j < WIDTH; j++) {
            double x = 0;
            if (j < count) {
                const char *from = s->column[c + j] + (first + r) * s->stride[c + j];
                x = s->single[c + j] ? *(const float *)from : *(const double *)from;
                rest += x * 0;
            }
            x -= base[j];
            slot[r][offset + j] = scale ? x * scale[r] : x;
        }
    for (int j = 0; j < WIDTH; j++) rest += residue[j];
    return rest;
}

TARGET static void JOIN(deal, ISA)(int64_t rows, int64_t start, const int64_t *numbers, int64_t folds, int64_t *fold) {
    if (numbers)
        for (int64_t r = 0; r < rows; r++) fold[r] = fold_of((uint64_t)numbers[r], (uint64_t)folds);
    else
        for (int64_t r = 0; r < rows; r++) fold[r] = fold_of((uint64_t)(start + r), (uint64_t)folds);
}

#undef OCTET
#undef LOOSE_OCTET
#undef JOIN_
#undef JOIN
#undef VECTOR
#undef LOOSE
#undef SPLIT
