/* A network that answers over a serial line: to `decant eval BUNDLE --device PORT`, to
   `decant bench device`, and to the runner of MLPerf Tiny, whose commands these are (the
   benchmark's API, https://github.com/mlcommons/tiny); `codes`, `db codes` and the lines m-network
   and m-ticks are our own. A command ends in '%', an answer with the line m-ready.

   Compile with -DNETWORK=name -DINPUT_BYTES=... -DOUTPUT_BYTES=... as main.c, and with a board's
   board_get and board_put. SAMPLE says what `db load` brings: SAMPLE_CODES (int8, the default),
   SAMPLE_PIXELS (bytes, for NAME_quantize_input) or SAMPLE_VALUES (float32, the lowest byte first,
   for NAME_quantize_values). MODEL is what `profile` says, as "ic01"; else the network's name. */

#include <string.h>

#include "board.h"

#define SAMPLE_CODES  0
#define SAMPLE_PIXELS 1
#define SAMPLE_VALUES 2
#ifndef SAMPLE
#define SAMPLE SAMPLE_CODES
#endif

#define JOIN(a, b)       a##b
#define CALL(name, what) JOIN(name, what)
#define TEXT_OF(name)    #name
#define TEXT(name)       TEXT_OF(name)
#ifndef MODEL
#define MODEL TEXT(NETWORK)
#endif

/* A line of `db` holds up to 256 bytes; MLPerf's runner sends 31. */
enum { COMMAND_CHARS = 536, WORDS = 4 };
enum { LOADED_BYTES = SAMPLE == SAMPLE_VALUES ? 4 * INPUT_BYTES : INPUT_BYTES };

static union {
    uint8_t bytes[LOADED_BYTES];
    float values[LOADED_BYTES / 4 + 1];
} loaded;
static int8_t input[INPUT_BYTES], output[OUTPUT_BYTES];
static uint32_t wanted, filled;
static int codes_come; /* what is loaded are codes, whatever SAMPLE says */

static void put(const char *text)
{
    while (*text)
        board_put(*text++);
}

static void put_number(uint64_t number)
{
    char text[24];
    put(board_digits(text, number));
}

/* A line of a word and a number. */
static void put_line(const char *word, uint64_t number, const char *end)
{
    put(word);
    put_number(number);
    put(end);
}

static void put_byte(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    board_put(digits[byte >> 4]);
    board_put(digits[byte & 15]);
}

/* -1: no digit. */
static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A number of digits alone, at most 99999999; -1: it is none. */
static int32_t number_of(const char *text)
{
    int32_t number = 0;
    int i;
    for (i = 0; text[i]; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 8)
            return -1;
        number = 10 * number + (text[i] - '0');
    }
    return i > 0 ? number : -1;
}

static void put_lap(uint64_t ticks)
{
    const uint64_t hz = board_ticks_per_second();
    put_line("m-lap-us-", ticks / hz * 1000000 + ticks % hz * 1000000 / hz, "\r\n");
}

/* The output's values with three decimals, as the benchmark has them. */
static void put_results(void)
{
    static float values[OUTPUT_BYTES];
    int i;
    CALL(NETWORK, _dequantize_output)(values, output);
    put("m-results-[");
    for (i = 0; i < OUTPUT_BYTES; i++) {
        const float size = values[i] < 0.0f ? -values[i] : values[i];
        const uint64_t thousandths = (uint64_t)((double)size * 1000.0 + 0.5);
        const uint32_t part = (uint32_t)(thousandths % 1000);
        put(i ? "," : "");
        put(values[i] < 0.0f ? "-" : "");
        put_number(thousandths / 1000);
        board_put('.');
        board_put((char)('0' + part / 100));
        board_put((char)('0' + part / 10 % 10));
        board_put((char)('0' + part % 10));
    }
    put("]\r\n");
}

static void put_codes(void)
{
    int i;
    put("m-codes-[");
    for (i = 0; i < OUTPUT_BYTES; i++)
        put_byte((uint8_t)output[i]);
    put("]\r\n");
}

/* 1: the sample is not whole, or holds what is no number. */
static int load_tensor(void)
{
    if (wanted == 0 || filled < wanted)
        return 1;
#if SAMPLE == SAMPLE_PIXELS
    if (!codes_come) {
        CALL(NETWORK, _quantize_input)(input, loaded.bytes);
        return 0;
    }
#elif SAMPLE == SAMPLE_VALUES
    if (!codes_come)
        return CALL(NETWORK, _quantize_values)(input, loaded.values);
#endif
    memcpy(input, loaded.bytes, sizeof input);
    return 0;
}

static void infer(int32_t count, int32_t warm_ups)
{
    uint64_t start, end;
    int32_t i;
    if (load_tensor()) {
        put("e-[No whole sample is loaded]\r\n");
        return;
    }
    put_line("m-warmup-start-", (uint64_t)warm_ups, "\r\n");
    for (i = 0; i < warm_ups; i++)
        CALL(NETWORK, _run)(input, output);
    put_line("m-warmup-done\r\nm-infer-start-", (uint64_t)count, "\r\n");
    start = board_ticks();
    for (i = 0; i < count; i++)
        CALL(NETWORK, _run)(input, output);
    end = board_ticks();
    put_lap(start);
    put_lap(end);
    put_line("m-ticks-", end - start, "\r\nm-infer-done\r\n");
    put_results();
}

/* `db load N`, or `db codes N`. */
static void begin_load(const char *count, int codes)
{
    const int32_t bytes = number_of(count);
    const uint32_t whole = codes ? INPUT_BYTES : LOADED_BYTES;
    if (bytes < 0 || (uint32_t)bytes != whole) {
        put_line("e-[A sample has ", whole, " bytes]\r\n");
        return;
    }
    wanted = whole;
    filled = 0;
    codes_come = codes;
    put_line("m-[Expecting ", whole, " bytes]\r\n");
}

/* What is behind the last byte of a sample is passed over. */
static void load(const char *digits)
{
    int i;
    for (i = 0; digits[i] && filled < wanted; i += 2) {
        const int high = digit_of(digits[i]);
        const int low = high < 0 ? -1 : digit_of(digits[i + 1]);
        if (low < 0) {
            put("e-[Bytes are two hexadecimal digits each]\r\n");
            return;
        }
        loaded.bytes[filled++] = (uint8_t)(high << 4 | low);
    }
    put(wanted > 0 && filled == wanted ? "m-load-done\r\n" : "");
}

static void print_loaded(void)
{
    uint32_t i;
    for (i = 0; i < filled; i++) {
        put(i % 8 == 0 ? "m-buffer-" : "-");
        put_byte(loaded.bytes[i]);
        put(i % 8 == 7 || i + 1 == filled ? "\r\n" : "");
    }
}

static void data(char *const *words, int count)
{
    if (count == 3 && (!strcmp(words[1], "load") || !strcmp(words[1], "codes")))
        begin_load(words[2], words[1][0] == 'c');
    else if (count == 2 && !strcmp(words[1], "print"))
        print_loaded();
    else if (count == 2)
        load(words[1]);
    else
        put("e-[db load N, db codes N, db HEX or db print]\r\n");
}

static void network(void)
{
    put("m-network-[" TEXT(NETWORK));
    put_line(",", INPUT_BYTES, "");
    put_line(",", OUTPUT_BYTES, "");
    put_line(",", LOADED_BYTES, "");
    put_line(",", board_ticks_per_second(), "]\r\n");
}

static void help(void)
{
    put("Decant's harness, with the commands of MLPerf Tiny; each ends in a percent sign\r\n"
        "name, profile, timestamp, help\r\n"
        "db load N       the next N bytes are a sample\r\n"
        "db codes N      the same of input codes\r\n"
        "db HEX          some of them; db print shows them\r\n"
        "infer N [W]     N inferences after W that warm up, by default 10\r\n"
        "results, codes  the last output as values, and as codes\r\n"
        "network         name, bytes of input, output and sample, ticks a second\r\n");
}

static void answer(char *const *words, int count)
{
    const int32_t times = count > 1 ? number_of(words[1]) : 1;
    const int32_t warm_ups = count > 2 ? number_of(words[2]) : 10;
    const char *word = count > 0 ? words[0] : "";
    if (!strcmp(word, "name"))
        put("m-name-dut-[" TEXT(NETWORK) "]\r\n");
    else if (!strcmp(word, "profile"))
        put("m-profile-[Decant's harness 1]\r\nm-model-[" MODEL "]\r\n");
    else if (!strcmp(word, "timestamp"))
        put_lap(board_ticks());
    else if (!strcmp(word, "help"))
        help();
    else if (!strcmp(word, "db"))
        data(words, count);
    else if (!strcmp(word, "infer") && times > 0 && warm_ups >= 0)
        infer(times, warm_ups);
    else if (!strcmp(word, "infer"))
        put("e-[infer N W: N at least 1, W at least 0]\r\n");
    else if (!strcmp(word, "results"))
        put_results();
    else if (!strcmp(word, "codes"))
        put_codes();
    else if (!strcmp(word, "network"))
        network();
    else {
        put("e-[Unknown command: ");
        put(word);
        put("]\r\n");
    }
}

/* Takes a command apart at its blanks, and answers it. */
static void take(char *command)
{
    char *words[WORDS];
    int count = 0;
    while (*command && count < WORDS) {
        while (*command == ' ')
            *command++ = '\0';
        if (*command)
            words[count++] = command;
        while (*command && *command != ' ')
            command++;
    }
    answer(words, count);
    put("m-ready\r\n");
}

int main(void)
{
    static char command[COMMAND_CHARS];
    uint32_t length = 0;
    int c;
    put("m-init-done\r\nm-ready\r\n");
    while ((c = board_get()) >= 0) {
        if (c == '%') {
            command[length] = '\0';
            length = 0;
            take(command);
        } else if (c != '\r' && c != '\n' && length + 1 < sizeof command) {
            command[length++] = (char)c;
        }
    }
    return 0;
}
