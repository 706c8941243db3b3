/* Sums by level: each row is added to the sums of its level and fold, and nowhere else. */

/* Adds w (1, x - shift) of each row to the sums of its level: folds x levels x (1 + columns). Rows of level -1 have none
 * and are passed over. Rows are numbered from start on, or by numbers; weights may be absent. */
void cumulant_levels(int64_t n, int64_t columns, const char *const *column, const int64_t *stride,
                     const uint8_t *single, const double *shift, int64_t start, const int64_t *numbers,
                     const double *weights, const int64_t *level, int64_t levels, int64_t folds, double *sums) {
    enum { ROWS = 64, LINE = 8 };
    int64_t q = columns + 1, place[ROWS];
    for (int64_t first = 0; first < n; first += ROWS) {
        int64_t rows = n - first < ROWS ? n - first : ROWS;
        /* Levels come in any order: the sums of a block are fetched before they are needed. */
        for (int64_t i = 0; i < rows; i++) {
            int64_t r = first + i;
            int64_t fold = fold_of((uint64_t)(numbers ? numbers[r] : start + r), (uint64_t)folds);
            place[i] = level[r] < 0 ? -1 : (fold * levels + level[r]) * q;
            if (place[i] >= 0)
                for (int64_t j = 0; j < q; j += LINE) __builtin_prefetch(sums + place[i] + j, 1);
        }
        for (int64_t i = 0; i < rows; i++) {
            if (place[i] < 0) continue;
            int64_t r = first + i;
            double w = weights ? weights[r] : 1, *to = sums + place[i];
            *to++ += w;
            for (int64_t j = 0; j < columns; j++) {
                const char *from = column[j] + r * stride[j];
                *to++ += w * ((single[j] ? *(const float *)from : *(const double *)from) - shift[j]);
            }
        }
    }
}
