/* Products of panels of eight columns with pairs, up to BROAD panels by TALL pairs at a time, in registers; included once
 * for each instruction set. */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(power_vector, ISA)
#define SPLIT (WIDTH / LANES)

typedef double VECTOR __attribute__((vector_size(LANES * 8)));

/* Rows of a panel, each times its factor. */
TARGET static void JOIN(power_scale, ISA)(const double *from, const double *factor, int64_t rows, double *to) {
    for (int64_t r = 0; r < rows; r++)
        for (int s = 0; s < SPLIT; s++)
            ((VECTOR *)to)[r * SPLIT + s] = ((const VECTOR *)from)[r * SPLIT + s] * factor[r];
}

/* The product of two columns, to whole groups of eight rows. */
TARGET static void JOIN(power_product, ISA)(const double *restrict a, const double *restrict b, int64_t rows,
                                            double *restrict to) {
    for (int64_t r = 0; r < rows; r += WIDTH)
        for (int s = 0; s < WIDTH; s += LANES)
            *(VECTOR *)(to + r + s) = *(const VECTOR *)(a + r + s) * *(const VECTOR *)(b + r + s);
}

/* Pairs (PAIRS at most) of columns k and l, k already weighted where it repeats. */
TARGET static void JOIN(power_pairs, ISA)(const double *column, const double *weight, const int32_t *pair, int64_t count,
                                          int64_t rows, double *weighted, double *to) {
    for (int64_t a = 0; a < count; a++, pair += 2, to += LENGTH) {
        if (!a || pair[0] != pair[-2]) JOIN(power_product, ISA)(column + pair[0] * LENGTH, weight, rows, weighted);
        JOIN(power_product, ISA)(column + pair[1] * LENGTH, weighted, rows, to);
    }
}

/* Adds the products of BROAD_ panels with TALL_ pairs to their sums, `wide` numbers for each pair. */
#define TILE(NAME, BROAD_, TALL_)                                                                                       \
    TARGET static __attribute__((noinline)) void JOIN(NAME, ISA)(const double *left, const double *pair, int64_t rows,  \
                                                                 double *sums, int64_t wide) {                          \
        VECTOR sum[TALL_][BROAD_ * SPLIT];                                                                              \
        for (int a = 0; a < TALL_; a++)                                                                                 \
            for (int b = 0; b < BROAD_ * SPLIT; b++) sum[a][b] = (VECTOR){0};                                           \
        /* They are far away, and wanted when the rows are through. */                                                  \
        for (int a = 0; a < TALL_; a++)                                                                                 \
            for (int b = 0; b < BROAD_; b++) __builtin_prefetch(sums + a * wide + b * WIDTH, 1);                        \
        for (const double *end = pair + rows; pair < end; pair++, left += WIDTH) {                                      \
            VECTOR x[BROAD_ * SPLIT];                                                                                   \
            for (int b = 0; b < BROAD_ * SPLIT; b++)                                                                    \
                x[b] = *(const VECTOR *)(left + (b / SPLIT) * PANEL + (b % SPLIT) * LANES);                             \
            _Pragma("GCC unroll 8") for (int a = 0; a < TALL_; a++)                                                     \
                _Pragma("GCC unroll 4") for (int b = 0; b < BROAD_ * SPLIT; b++) sum[a][b] += pair[a * LENGTH] * x[b];  \
        }                                                                                                               \
        _Pragma("GCC unroll 8") for (int a = 0; a < TALL_; a++)                                                         \
            _Pragma("GCC unroll 4") for (int b = 0; b < BROAD_ * SPLIT; b++)                                            \
                ((VECTOR *)(sums + a * wide))[b] += sum[a][b];                                                          \
    }

TILE(power_tile_1, 1, TALL)
TILE(power_half_1, 1, TALL / 2)
#if BROAD >= 3
TILE(power_tile_2, 2, TALL)
TILE(power_half_2, 2, TALL / 2)
TILE(power_tile_3, 3, TALL)
TILE(power_half_3, 3, TALL / 2)
#endif
#undef TILE

/* Adds the products of some panels, BROADEST at most, with `pairs` pairs to their sums, `wide` numbers for each pair; pairs
 * are rounded up to TALL / 2. */
TARGET static void JOIN(power_multiply, ISA)(const double *left, int64_t panels, const double *pair, int64_t pairs,
                                             int64_t rows, double *sums, int64_t wide) {
    for (int64_t a = 0; a < pairs; a += TALL, pair += TALL * LENGTH, sums += TALL * wide) {
        int whole = pairs - a > TALL / 2;
#if BROAD >= 3
        if (panels == 3) (whole ? JOIN(power_tile_3, ISA) : JOIN(power_half_3, ISA))(left, pair, rows, sums, wide);
        if (panels == 2) (whole ? JOIN(power_tile_2, ISA) : JOIN(power_half_2, ISA))(left, pair, rows, sums, wide);
        if (panels > 1) continue;
#endif
        for (int64_t b = 0; b < panels; b++)
            (whole ? JOIN(power_tile_1, ISA) : JOIN(power_half_1, ISA))(left + b * PANEL, pair, rows, sums + b * WIDTH,
                                                                        wide);
    }
}

#undef JOIN_
#undef JOIN
#undef VECTOR
#undef SPLIT
