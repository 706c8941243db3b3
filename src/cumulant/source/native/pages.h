/* Parquet pages of flat columns: their headers, and the runs that levels and dictionary codes are packed in.
 *
 * Apache Parquet format, https://parquet.apache.org/docs/file-format/; headers are Thrift's compact protocol. Every
 * function checks the bounds of what it reads: a file may be damaged. */

typedef struct { const uint8_t *at, *end; int bad; } Bytes;

static uint64_t varint(Bytes *b) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (b->at >= b->end) break;
        uint8_t byte = *b->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    b->bad = 1;
    return 0;
}

static int64_t zigzag(Bytes *b) {
    uint64_t u = varint(b);
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

static void skip_bytes(Bytes *b, uint64_t n) {
    if (n > (uint64_t)(b->end - b->at)) b->bad = 1;
    else b->at += n;
}

enum { STOP, TRUE_, FALSE_, I8, I16, I32, I64, DOUBLE_, BINARY, LIST, SET, MAP, STRUCT };

static void skip_value(Bytes *b, int type, int depth) {
    if (b->bad || depth > 16) { b->bad = 1; return; }
    switch (type) {
    case TRUE_: case FALSE_: return;
    case I8: skip_bytes(b, 1); return;
    case I16: case I32: case I64: varint(b); return;
    case DOUBLE_: skip_bytes(b, 8); return;
    case BINARY: skip_bytes(b, varint(b)); return;
    case STRUCT:
        for (;;) {
            if (b->at >= b->end) { b->bad = 1; return; }
            uint8_t head = *b->at++;
            if (head == STOP) return;
            if (!(head >> 4)) varint(b);
            skip_value(b, head & 15, depth + 1);
            if (b->bad) return;
        }
    default: b->bad = 1;  /* page headers hold neither lists nor maps */
    }
}

/* What is wanted of a header. Fields of the structs in it are numbered from `base` on. */
enum { KIND, UNPACKED, PACKED, CRC, HAS_CRC, VALUES, ENCODING, LEVELS, LEVEL_BYTES, UNCOMPRESSED, REPEAT_BYTES, WANTED };

static void read_struct(Bytes *b, int outer, int64_t *out) {
    int64_t field = 0;
    while (!b->bad) {
        if (b->at >= b->end) { b->bad = 1; return; }
        uint8_t head = *b->at++;
        int type = head & 15;
        if (type == STOP) return;
        field = head >> 4 ? field + (head >> 4) : zigzag(b);
        int place = -1;
        if (outer == 0) place = field == 1 ? KIND : field == 2 ? UNPACKED : field == 3 ? PACKED : field == 4 ? CRC : -1;
        else if (outer == 5) place = field == 1 ? VALUES : field == 2 ? ENCODING : field == 3 ? LEVELS : -1;
        else if (outer == 7) place = field == 1 ? VALUES : field == 2 ? ENCODING : -1;
        else if (outer == 8)
            place = field == 1 ? VALUES : field == 4 ? ENCODING : field == 5 ? LEVEL_BYTES : field == 6 ? REPEAT_BYTES : -1;
        if (outer == 0 && type == STRUCT && (field == 5 || field == 7 || field == 8)) read_struct(b, (int)field, out);
        else if (outer == 8 && field == 7) out[UNCOMPRESSED] = type == FALSE_;
        else if (place >= 0 && (type == I16 || type == I32 || type == I64)) {
            out[place] = zigzag(b);
            if (place == CRC) out[HAS_CRC] = 1;
        } else skip_value(b, type, 0);
    }
}

/* Parse the header of a page; gives its length, or 0 where the bytes end before it does or are none. */
int64_t cumulant_page_header(const uint8_t *bytes, int64_t size, int64_t *out) {
    Bytes b = {bytes, bytes + size, 0};
    memset(out, 0, WANTED * sizeof *out);
    read_struct(&b, 0, out);
    return b.bad ? 0 : b.at - bytes;
}

/* Unpack `count` numbers of `width` bits, in runs of one value or of packed groups of eight; gives how many there were. */
int64_t cumulant_unpack(const uint8_t *bytes, int64_t size, int width, int64_t count, uint32_t *out) {
    Bytes b = {bytes, bytes + size, 0};
    if (width < 0 || width > 32) return 0;
    uint64_t mask = width == 32 ? 0xffffffffu : (1ull << width) - 1;
    int64_t done = 0;
    while (done < count) {
        uint64_t head = varint(&b);
        if (b.bad) return done;
        if (!(head & 1)) {
            uint64_t run = head >> 1;
            int wide = (width + 7) / 8;
            if (b.end - b.at < wide || !run) return done;
            uint32_t value = 0;
            memcpy(&value, b.at, wide);
            b.at += wide;
            if (run > (uint64_t)(count - done)) run = count - done;
            for (uint64_t i = 0; i < run; i++) out[done + i] = value;
            done += run;
            continue;
        }
        uint64_t groups = head >> 1;
        if (!groups || groups > (uint64_t)INT64_MAX / 64) return done;
        int64_t most = width ? (b.end - b.at) * 8 / width : INT64_MAX;
        int64_t n = (int64_t)groups * 8;
        if (n > count - done) n = count - done;
        if (n > most) n = most;
        const uint8_t *from = b.at;
        int64_t i = 0;
        /* Eight bytes at once hold any number of up to 32 bits at any bit; near the end, byte by byte. */
        for (; i < n; i++) {
            int64_t bit = i * width;
            const uint8_t *p = from + bit / 8;
            uint64_t word = 0;
            if (b.end - p >= 8) memcpy(&word, p, 8);
            else memcpy(&word, p, b.end - p);
            out[done + i] = (uint32_t)(word >> (bit % 8) & mask);
        }
        done += n;
        uint64_t bytes_used = groups * width;
        if (bytes_used > (uint64_t)(b.end - b.at)) return done;
        b.at += bytes_used;
    }
    return done;
}

/* Look codes up in a dictionary of numbers of 4 or 8 bytes; gives how many of them are in it. */
int64_t cumulant_lookup(const uint32_t *codes, int64_t count, const void *dictionary, int64_t entries, int wide, void *out) {
    int64_t i = 0;
    if (wide == 8)
        for (; i < count && codes[i] < entries; i++) ((uint64_t *)out)[i] = ((const uint64_t *)dictionary)[codes[i]];
    else
        for (; i < count && codes[i] < entries; i++) ((uint32_t *)out)[i] = ((const uint32_t *)dictionary)[codes[i]];
    return i;
}

/* Snappy, https://github.com/google/snappy/blob/main/format_description.txt. Short pieces, of which a column of numbers
 * consists, are copied sixteen bytes at a time whatever their length: `out` must have room for SLACK bytes more. */
enum { SLACK = 64 };

/* Decompress; gives 1, or 0 where the bytes are not those of `size` bytes. */
int64_t cumulant_snappy(const uint8_t *bytes, int64_t packed, uint8_t *out, int64_t size) {
    Bytes b = {bytes, bytes + packed, 0};
    if (varint(&b) != (uint64_t)size || b.bad) return 0;
    const uint8_t *at = b.at, *end = b.end;
    uint8_t *to = out, *full = out + size;
    while (at < end) {
        uint32_t tag = *at++;
        int64_t length, offset;
        if (!(tag & 3)) {
            length = (tag >> 2) + 1;
            if (length <= 16 && end - at >= 16 && full - to >= length) {
                memcpy(to, at, 16);
                to += length;
                at += length;
                continue;
            }
            if (length > 60) {
                int wide = (int)length - 60;
                uint32_t value = 0;
                if (end - at < wide) return 0;
                memcpy(&value, at, wide);
                at += wide;
                length = (int64_t)value + 1;
            }
            if (length > end - at || length > full - to) return 0;
            memcpy(to, at, length);
            to += length;
            at += length;
            continue;
        }
        int wide = (tag & 3) == 3 ? 4 : (int)(tag & 3);
        if (end - at < wide) return 0;
        if (wide == 1) {
            length = 4 + (tag >> 2 & 7);
            offset = (int64_t)(tag >> 5) << 8 | *at;
        } else {
            uint32_t value = 0;
            memcpy(&value, at, wide);
            length = (tag >> 2) + 1;
            offset = value;
        }
        at += wide;
        if (!offset || offset > to - out || length > full - to) return 0;
        const uint8_t *from = to - offset;
        if (offset >= 4 && length <= 12) {
            /* Four bytes at a time: a wider load would span two recent stores, and wait for both to reach the cache.
             * All three whatever the length, which no processor could guess. */
            memcpy(to, from, 4);
            memcpy(to + 4, from + 4, 4);
            memcpy(to + 8, from + 8, 4);
        } else if (offset >= 16) {
            for (int64_t i = 0; i < length; i += 16) memcpy(to + i, from + i, 16);
        } else
            for (int64_t i = 0; i < length; i++) to[i] = from[i];
        to += length;
    }
    return to == full;
}
