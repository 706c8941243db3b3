/* Sums by level: each row is added to the sums of its level and fold, and nowhere else. */

/* The cells of one column in some rows, less a reference point, times weights that may be absent, q apart. */
static void scatter_cells(const Source *s, int64_t c, int64_t first, int64_t rows, const double *weights, int64_t q,
                          double *to) {
    const char *from = s->column[c] + first * s->stride[c];
    int64_t stride = s->stride[c];
    double shift = s->shift[c];
    if (s->single[c])
        for (int64_t i = 0; i < rows; i++) to[i * q] = *(const float *)(from + i * stride) - shift;
    else if (stride == 8)
        for (int64_t i = 0; i < rows; i++) to[i * q] = ((const double *)from)[i] - shift;
    else
        for (int64_t i = 0; i < rows; i++) to[i * q] = *(const double *)(from + i * stride) - shift;
    if (weights)
        for (int64_t i = 0; i < rows; i++) to[i * q] *= weights[first + i];
}

/* Adds w (1, x - shift) of each row to the sums of its level: folds x levels x (1 + columns). Rows of level -1 have none
 * and are passed over. Rows are numbered from start on, or by numbers; weights may be absent. Returns the rows seen, or
 * -1 when memory is short. */
int64_t cumulant_levels(int64_t n, int64_t columns, const char *const *column, const int64_t *stride,
                        const uint8_t *single, const double *shift, int64_t start, const int64_t *numbers,
                        const double *weights, const int64_t *level, int64_t levels, int64_t folds, double *sums) {
    enum { ROWS = 64, LINE = 8 };
    Source source = {column, stride, single, shift};
    int64_t q = columns + 1, place[ROWS];
    double *z = malloc((size_t)(ROWS * q) * sizeof *z);
    if (!z) return -1;
    for (int64_t first = 0; first < n; first += ROWS) {
        int64_t rows = n - first < ROWS ? n - first : ROWS;
        /* Levels come in any order: the sums of a block are fetched while its rows are gathered. */
        for (int64_t i = 0; i < rows; i++) {
            int64_t r = first + i;
            int64_t fold = fold_of((uint64_t)(numbers ? numbers[r] : start + r), (uint64_t)folds);
            place[i] = level[r] < 0 ? -1 : (fold * levels + level[r]) * q;
            if (place[i] >= 0)
                for (int64_t j = 0; j < q + LINE; j += LINE) __builtin_prefetch(sums + place[i] + j, 1);
            z[i * q] = weights ? weights[r] : 1;
        }
        for (int64_t c = 0; c < columns; c++) scatter_cells(&source, c, first, rows, weights, q, z + 1 + c);
        for (int64_t i = 0; i < rows; i++) {
            if (place[i] < 0) continue;
            const double *restrict from = z + i * q;
            double *restrict to = sums + place[i];
            for (int64_t j = 0; j < q; j++) to[j] += from[j];
        }
    }
    free(z);
    return n;
}
