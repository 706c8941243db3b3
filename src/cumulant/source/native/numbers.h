/* Delimited text of plain decimal numbers, correctly rounded. Whatever else a cell may hold ends the parse: Arrow's reader
 * then takes the block, and has the last word on what is a number and what an error. */

typedef struct { const char *at; const char *end; char delimiter, decimal; } Text;

/* 5^27 is the last power that 64 bits hold. */
enum { POWERS = 28 };
static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static uint64_t power_of_five(int n) {
    uint64_t value = 1;
    while (n--) value *= 5;
    return value;
}

/* m 2^shift with the bits below m that `more` tells of, to the nearest double, ties to even; m > 0, its top bits anywhere. */
static double rounded(uint64_t m, int shift, int more) {
    int extra = 64 - __builtin_clzll(m) - 53;
    if (extra > 0) {
        uint64_t rest = m & ((1ull << extra) - 1), half = 1ull << (extra - 1);
        m >>= extra;
        m += rest > half || (rest == half && (more || (m & 1)));
        shift += extra;
    }
    uint64_t bits = (uint64_t)(1023 + shift) << 52;
    double scale;
    memcpy(&scale, &bits, 8);
    return (double)m * scale;
}

/* (high, low) / below, high < below. */
static uint64_t divided(uint64_t high, uint64_t low, uint64_t below, uint64_t *rest) {
#if defined(__x86_64__)
    uint64_t quotient;
    __asm__("divq %4" : "=a"(quotient), "=d"(*rest) : "a"(low), "d"(high), "r"(below) : "cc");
    return quotient;
#else
    unsigned __int128 above = (unsigned __int128)high << 64 | low;
    uint64_t quotient = (uint64_t)(above / below);
    *rest = low - quotient * below;
    return quotient;
#endif
}

/* w 10^e, |e| < POWERS. An exact product or quotient by a power of five, of which 62 bits and more are kept. */
static double scaled(uint64_t w, int e, const uint64_t *fives) {
    if (w < 1ull << 53 && -22 <= e && e <= 22) return e < 0 ? (double)w / TENS[-e] : (double)w * TENS[e];
    int zeros = __builtin_clzll(w);
    if (e >= 0) {
        unsigned __int128 product = (unsigned __int128)w * fives[e];
        uint64_t high = product >> 64, low = (uint64_t)product;
        if (!high) return rounded(low, e, 0);
        int up = __builtin_clzll(high);
        product <<= up;
        return rounded(product >> 64, e + 64 - up, (uint64_t)product != 0);
    }
    uint64_t five = fives[-e];
    int up = __builtin_clzll(five);
    uint64_t rest, quotient = divided((w << zeros) >> 1, w << zeros << 63, five << up, &rest);
    return rounded(quotient, e + up - zeros - 63, rest != 0);
}

static int eight_digits(const char *at, uint64_t *value) {
    uint64_t v;
    memcpy(&v, at, 8);
    if (((v & 0xF0F0F0F0F0F0F0F0) | (((v + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) != 0x3333333333333333) return 0;
    v = (v & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8;
    v = (v & 0x00FF00FF00FF00FF) * 6553601 >> 16;
    *value = (v & 0x0000FFFF0000FFFF) * 42949672960001 >> 32;
    return 1;
}

static const char *digits(const char *at, const char *end, uint64_t *w) {
    uint64_t eight, value = *w;
    while (end - at >= 8 && eight_digits(at, &eight)) {
        value = value * 100000000 + eight;
        at += 8;
    }
    for (; at < end && (unsigned)(*at - '0') < 10; at++) value = value * 10 + (unsigned)(*at - '0');
    *w = value;
    return at;
}

/* Parse the number that a cell begins with; gives where it ends, or NULL if there is none or it takes more care. */
static const char *number(const Text *t, const uint64_t *fives, double *out) {
    const char *at = t->at, *end = t->end;
    int negative = at < end && *at == '-';
    at += negative;
    uint64_t w = 0;
    const char *begin = at;
    at = digits(at, end, &w);
    int64_t whole = at - begin, fraction = 0;
    if (at < end && *at == t->decimal) {
        const char *point = ++at;
        at = digits(at, end, &w);
        fraction = at - point;
    }
    if (!(whole + fraction)) return 0;
    if (whole + fraction > 19) {
        /* Zeros in front are no digits of w. */
        while (begin < at && (*begin == '0' || *begin == t->decimal)) begin++;
        if (at - begin - (begin <= at - fraction - 1 && fraction) > 19) return 0;
    }
    int64_t e = -fraction;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        int minus = at < end && *at == '-';
        at += minus || (at < end && *at == '+');
        uint64_t exponent = 0;
        const char *first = at;
        at = digits(at, end, &exponent);
        if (at == first || at - first > 4) return 0;
        e += minus ? -(int64_t)exponent : (int64_t)exponent;
    }
    if (w && (e <= -POWERS || e >= POWERS)) return 0;
    double value = w ? scaled(w, (int)e, fives) : 0.0;
    *out = negative ? -value : value;
    return at;
}

static int missing(const char *at, int64_t length, const char *spellings) {
    for (const uint8_t *s = (const uint8_t *)spellings; *s != 255; s += 1 + *s)
        if (*s == length && !memcmp(s + 1, at, length)) return 1;
    return 0;
}

/* Parse whole lines into columns; gives the number of rows, or -1 at anything that is not plain.
 *
 * place: for each column of the text the column of `out` (room rows each) that it goes to, or -1.
 * spellings: those of a missing cell, each after a byte with its length; then a byte 255.
 * gaps: set to the number of missing cells. */
int64_t cumulant_numbers(const char *bytes, int64_t size, char delimiter, char decimal, int64_t columns,
                         const int64_t *place, const char *spellings, double *out, int64_t room, int64_t *gaps) {
    Text t = {bytes, bytes + size, delimiter, decimal};
    uint64_t fives[POWERS];
    for (int i = 0; i < POWERS; i++) fives[i] = power_of_five(i);
    const double nan = __builtin_nan("");
    int64_t rows = 0;
    *gaps = 0;
    while (t.at < t.end) {
        if (*t.at == '\n') { t.at++; continue; }
        if (*t.at == '\r' && t.end - t.at > 1 && t.at[1] == '\n') { t.at += 2; continue; }
        if (rows == room) return -1;
        for (int64_t j = 0; j < columns; j++) {
            const char *stop;
            if (place[j] < 0) {
                for (stop = t.at; stop < t.end && *stop != delimiter && *stop != '\n' && *stop != '\r'; stop++)
                    ;
            } else {
                double *cell = out + place[j] * room + rows;
                stop = number(&t, fives, cell);
                if (!stop || (stop < t.end && *stop != delimiter && *stop != '\n' && *stop != '\r')) {
                    for (stop = t.at; stop < t.end && *stop != delimiter && *stop != '\n' && *stop != '\r'; stop++)
                        ;
                    if (!missing(t.at, stop - t.at, spellings)) return -1;
                    *cell = nan;
                    ++*gaps;
                }
            }
            t.at = stop;
            if (j + 1 < columns) {
                if (t.at == t.end || *t.at != delimiter) return -1;
                t.at++;
            }
        }
        if (t.at < t.end && *t.at == '\r') t.at++;
        if (t.at < t.end) {
            if (*t.at != '\n') return -1;
            t.at++;
        }
        rows++;
    }
    return rows;
}

/* Ends of lines in some bytes; sets whether there is a quote among them. */
int64_t cumulant_lines(const char *bytes, int64_t size, int64_t *quoted) {
    int64_t lines = 0;
    *quoted = memchr(bytes, '"', size) != 0;
    for (int64_t i = 0; i < size;) {
        int64_t stop = size - i < 240 ? size : i + 240;
        uint8_t few = 0;  /* so narrow that the loop is vectorised well */
        for (; i < stop; i++) few += bytes[i] == '\n';
        lines += few;
    }
    return lines;
}
