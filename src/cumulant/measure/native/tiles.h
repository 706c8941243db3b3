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
    const double *buffer, int64_t rows, int64_t capacity, int64_t side, int64_t i, int64_t v, int wide, double *sums) {
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
#pragma GCC unroll 3
            for (int b = 0; b < wide; b++) sum[a][b] += left[r * WIDTH + a] * x[b];
    }
#pragma GCC unroll 8
    for (int a = 0; a < TALL; a++)
#pragma GCC unroll 3
        for (int b = 0; b < wide; b++) {
            LOOSE *to = (LOOSE *)(sums + (i + a) * side + (v + b) * LANES);
            *to += sum[a][b];
        }
}

/* Adds the products of fields with the WIDE vectors from field `at` on; returns the first field after them. */
TARGET static int64_t JOIN(stripe, ISA)(const double *buffer, int64_t rows, int64_t capacity, int64_t panels,
                                        int64_t at, double *sums) {
    int64_t side = WIDTH * panels, v = at / LANES, left = side / LANES - v, wide = left < WIDE ? left : WIDE;
    /* Only tiles that reach the upper triangle. */
    for (int64_t i = 0; rows && i < side && i < (v + wide) * LANES; i += TALL) {
        if (wide == 1) JOIN(tile, ISA)(buffer, rows, capacity, side, i, v, 1, sums);
#if WIDE >= 2
        else if (wide == 2) JOIN(tile, ISA)(buffer, rows, capacity, side, i, v, 2, sums);
#endif
#if WIDE >= 3
        else JOIN(tile, ISA)(buffer, rows, capacity, side, i, v, 3, sums);
#endif
    }
    return at + WIDE * LANES;
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

/* Packs panel `panel` of rows first … first + rows - 1 into their slots. The returned sum of x - x is NaN where a cell
 * was not finite, and zero otherwise. */
TARGET static double JOIN(pack_panel, ISA)(const Workspace *w, const Source *s, int64_t panel, int64_t first,
                                           int64_t rows, double *const *slot, const double *scale) {
    int64_t c = panel * WIDTH, r = 0, offset = panel * w->capacity * WIDTH;
    OCTET zero = {0}, residue = zero;
    if (c + WIDTH <= w->columns && by_rows(s, c)) {
        OCTET shift = *(const LOOSE_OCTET *)(s->shift + c);
        const char *from = s->column[c] + first * s->stride[c];
        for (; r < rows; r++, from += s->stride[c]) {
            OCTET x = *(const LOOSE_OCTET *)from;
            residue += x - x;
            x -= shift;
            *(OCTET *)(slot[r] + offset) = scale ? x * scale[r] : x;
        }
    } else if (c + WIDTH <= w->columns && by_columns(s, c)) {
        for (; r + WIDTH <= rows; r += WIDTH) {
            OCTET x[WIDTH];
            for (int j = 0; j < WIDTH; j++) {
                x[j] = *(const LOOSE_OCTET *)(s->column[c + j] + (first + r) * 8);
                residue += x[j] - x[j];
                x[j] -= s->shift[c + j];
            }
            JOIN(transpose, ISA)(x);
            for (int i = 0; i < WIDTH; i++)
                *(OCTET *)(slot[r + i] + offset) = scale ? x[i] * scale[r + i] : x[i];
        }
    }
    double rest = 0;
    for (; r < rows; r++)
        for (int j = 0; j < WIDTH; j++) {
            double x = c + j == w->columns;
            if (c + j < w->columns) {
                const char *from = s->column[c + j] + (first + r) * s->stride[c + j];
                x = s->single[c + j] ? *(const float *)from : *(const double *)from;
                rest += x - x;
                x -= s->shift[c + j];
            }
            slot[r][offset + j] = scale ? x * scale[r] : x;
        }
    for (int j = 0; j < WIDTH; j++) rest += residue[j];
    return rest;
}

#undef OCTET
#undef LOOSE_OCTET
#undef JOIN_
#undef JOIN
#undef VECTOR
#undef LOOSE
#undef SPLIT
