/* File header and record header of a journal, to bytes and back. */
#include "exaconn/little_endian.h"
#include "journal_internal.h"

#include <stdio.h>
#include <string.h>

enum { COMPRESSED = 1 }; /* the codec field; 0 = stored as it is */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static exa_status parse_sha256(const char *hex, unsigned char bytes[32]) {
    for (int i = 0; i < 32; i++) {
        int high = hex_digit(hex[2 * i]), low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        EXA_CHECK(high >= 0 && low >= 0, EXA_ERR_RANGE, "'%.64s' is not a SHA-256 of 64 hexadecimal digits", hex);
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    EXA_CHECK(hex[64] == '\0', EXA_ERR_RANGE, "'%.80s' is longer than a SHA-256", hex);
    return EXA_OK;
}

exa_status exa_journal_run_number(const char *run_sha256, uint64_t *run) {
    unsigned char bytes[32];

    EXA_TRY(parse_sha256(run_sha256, bytes));
    *run = exa_load_le64(bytes);
    return EXA_OK;
}

static void seal(unsigned char *header, size_t size) {
    exa_store_le32(header + size - 4, exa_crc32c(0, header, size - 4));
}

static bool sealed(const unsigned char *header, size_t size) {
    return exa_load_le32(header + size - 4) == exa_crc32c(0, header, size - 4);
}

exa_status exa_journal_pack_owner(const exa_journal_owner *owner, unsigned char header[EXA_JOURNAL_FILE_HEADER]) {
    memset(header, 0, EXA_JOURNAL_FILE_HEADER);
    memcpy(header, EXA_JOURNAL_MAGIC, 8);
    exa_store_le32(header + 8, EXA_JOURNAL_VERSION);
    exa_store_le32(header + 12, owner->epoch);
    exa_store_le32(header + 16, owner->rank);
    EXA_TRY(parse_sha256(owner->run_sha256, header + 24));
    seal(header, EXA_JOURNAL_FILE_HEADER);
    return EXA_OK;
}

exa_status exa_journal_unpack_owner(const unsigned char header[EXA_JOURNAL_FILE_HEADER], exa_journal_owner *owner) {
    if (memcmp(header, EXA_JOURNAL_MAGIC, 8) != 0) return EXA_ERR_FORMAT;
    if (!sealed(header, EXA_JOURNAL_FILE_HEADER)) return EXA_ERR_CORRUPT;
    if (exa_load_le32(header + 8) != EXA_JOURNAL_VERSION) return EXA_ERR_UNSUPPORTED;
    owner->epoch = exa_load_le32(header + 12);
    owner->rank = exa_load_le32(header + 16);
    for (int i = 0; i < 32; i++) snprintf(owner->run_sha256 + 2 * i, 3, "%02x", header[24 + i]);
    return EXA_OK;
}

exa_status exa_journal_pack_record(const exa_journal_owner *owner, const exa_journal_record *r,
                                   unsigned char header[EXA_JOURNAL_RECORD_HEADER]) {
    uint64_t run;

    EXA_TRY(exa_journal_run_number(owner->run_sha256, &run));
    memset(header, 0, EXA_JOURNAL_RECORD_HEADER);
    memcpy(header, EXA_JOURNAL_RECORD_MAGIC, 4);
    exa_store_le32(header + 4, r->kind);
    exa_store_le64(header + 8, run);
    exa_store_le32(header + 16, r->epoch);
    exa_store_le32(header + 20, r->rank);
    exa_store_le64(header + 24, r->sequence);
    exa_store_le64(header + 32, r->chunk);
    exa_store_le64(header + 40, r->size);
    exa_store_le64(header + 48, r->stored_size);
    exa_store_le32(header + 56, r->compressed ? COMPRESSED : 0);
    exa_store_le32(header + 60, r->stored_crc);
    seal(header, EXA_JOURNAL_RECORD_HEADER);
    return EXA_OK;
}

bool exa_journal_unpack_record(const unsigned char header[EXA_JOURNAL_RECORD_HEADER], uint64_t run,
                               exa_journal_record *r) {
    uint32_t codec = exa_load_le32(header + 56);
    uint64_t size = exa_load_le64(header + 40), stored = exa_load_le64(header + 48);

    if (memcmp(header, EXA_JOURNAL_RECORD_MAGIC, 4) != 0 || !sealed(header, EXA_JOURNAL_RECORD_HEADER))
        return false;
    if (exa_load_le64(header + 8) != run || codec > COMPRESSED || size > EXA_JOURNAL_RECORD_MAX) return false;
    if (codec == COMPRESSED ? stored >= size : stored != size) return false;
    r->kind = exa_load_le32(header + 4);
    r->epoch = exa_load_le32(header + 16);
    r->rank = exa_load_le32(header + 20);
    r->sequence = exa_load_le64(header + 24);
    r->chunk = exa_load_le64(header + 32);
    r->size = size;
    r->stored_size = stored;
    r->compressed = codec == COMPRESSED;
    r->stored_crc = exa_load_le32(header + 60);
    return true;
}
