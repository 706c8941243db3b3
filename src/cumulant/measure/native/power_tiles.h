/* Blocks of 8 x 8 products, TALL by BROAD panels of them at a time, in registers; included once for each instruction set. */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(power_vector, ISA)
#define SPLIT (WIDTH / LANES)

typedef double VECTOR __attribute__((vector_size(LANES * 8)));

/* Rows of one panel, each times its factor. */
TARGET static void JOIN(power_scale, ISA)(const double *from, const double *factor, int64_t rows, double *to) {
    for (int64_t r = 0; r < rows; r++)
        for (int s = 0; s < SPLIT; s++)
            ((VECTOR *)to)[r * SPLIT + s] = ((const VECTOR *)from)[r * SPLIT + s] * factor[r];
}

/* Adds the products of columns i … i + TALL - 1 of a panel with `broad` panels to as many blocks. */
TARGET static inline __attribute__((always_inline)) void JOIN(power_tile, ISA)(
    const double *left, const double *right, int64_t rows, int64_t panel, int i, int broad, double *sums) {
    VECTOR sum[TALL][BROAD * SPLIT];
    for (int a = 0; a < TALL; a++)
        for (int b = 0; b < broad * SPLIT; b++) sum[a][b] = (VECTOR){0};
    for (int64_t r = 0; r < rows; r++) {
        VECTOR x[BROAD * SPLIT];
        for (int b = 0; b < broad * SPLIT; b++)
            x[b] = *(const VECTOR *)(right + (b / SPLIT) * panel + r * WIDTH + (b % SPLIT) * LANES);
#pragma GCC unroll 8
        for (int a = 0; a < TALL; a++)
#pragma GCC unroll 4
            for (int b = 0; b < broad * SPLIT; b++) sum[a][b] += left[r * WIDTH + i + a] * x[b];
    }
#pragma GCC unroll 8
    for (int a = 0; a < TALL; a++)
#pragma GCC unroll 4
        for (int b = 0; b < broad * SPLIT; b++)
            *(VECTOR *)(sums + ((b / SPLIT) * WIDTH + i + a) * WIDTH + (b % SPLIT) * LANES) += sum[a][b];
}

/* Adds the products of one panel with many to their blocks. */
TARGET static void JOIN(power_multiply, ISA)(const double *left, const double *right, int64_t rows, int64_t panel,
                                             int64_t panels, double *sums) {
    for (int64_t b = 0; b < panels; b += BROAD, right += BROAD * panel, sums += BROAD * WIDTH * WIDTH)
        for (int i = 0; i < WIDTH; i += TALL) {
#if BROAD >= 3
            if (panels - b >= 3) JOIN(power_tile, ISA)(left, right, rows, panel, i, 3, sums);
            else if (panels - b == 2) JOIN(power_tile, ISA)(left, right, rows, panel, i, 2, sums);
            else
#endif
                JOIN(power_tile, ISA)(left, right, rows, panel, i, 1, sums);
        }
}

typedef double JOIN(power_octet, ISA) __attribute__((vector_size(64)));
typedef double JOIN(power_loose, ISA) __attribute__((vector_size(64), aligned(8)));
#define OCTET JOIN(power_octet, ISA)
#define LOOSE JOIN(power_loose, ISA)

/* PAIRS panels of pairs of each row from panel `first` on: by runs of equal k, which descends from q - 1. */
TARGET static void JOIN(power_pairs, ISA)(const double *buffer, int64_t rows, int64_t panel, int64_t panels, int64_t q,
                                          int64_t first, double *row, double *pairs) {
    int64_t begin = first * WIDTH, last = begin + PAIRS * WIDTH, start = q - 1, at = 0;
    double *made = row + (panels + 1) * WIDTH;
    for (; start > 0 && at + q - start <= begin; start--) at += q - start;
    int64_t used = (q * (q + 1) / 2 - begin + WIDTH - 1) / WIDTH;
    if (used > PAIRS) used = PAIRS;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t b = 0; b < panels; b++)
            *(OCTET *)(row + b * WIDTH) = *(const OCTET *)(buffer + b * panel + r * WIDTH);
        for (int64_t k = start, place = at; k >= 0 && place < last; place += q - k, k--) {
            int64_t from = place < begin ? begin : place, end = place + q - k < last ? place + q - k : last;
            const double *z = row + k + from - place;
            double *out = made + from - begin, factor = row[k];
            /* Whole vectors: what is written beyond a run, the next one writes over. */
            for (int64_t i = 0; i < end - from; i += WIDTH) *(LOOSE *)(out + i) = *(const LOOSE *)(z + i) * factor;
        }
        for (int64_t b = 0; b < used; b++)
            *(OCTET *)(pairs + b * panel + r * WIDTH) = *(const OCTET *)(made + b * WIDTH);
    }
}

#undef OCTET
#undef LOOSE
#undef JOIN_
#undef JOIN
#undef VECTOR
#undef SPLIT
