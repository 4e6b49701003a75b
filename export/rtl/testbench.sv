// Replays the layers of one network (network.svh) from its memory images: for each layer and test vector
// the codes of its inputs go through the units, and every code that comes out is compared.
//
//   +from=N +to=N   the vectors, from 0 on; else all
//   +few            one layer of each kind, the one with the fewest words
//
// Reads NN_LAYER_*.mem in the current folder. Ends with $fatal, and a status that is not 0, where a file
// does not hold exactly the words that network.svh says, or where a code differs.
module testbench;
`include "network.svh"

    localparam int LINE = 8 * (WORD_DIGITS + 2);

    reg [WEIGHT_WIDTH-1:0] weights[0:WEIGHT_DEPTH-1];
    reg [PE*32-1:0] biases[0:CHANNEL_DEPTH-1];
    reg [PE*32-1:0] multipliers[0:CHANNEL_DEPTH-1];
    reg [PE*8-1:0] shifts[0:CHANNEL_DEPTH-1];
    reg [7:0] table_codes[0:255];
    reg [7:0] codes_a[0:VECTORS*VALUE_CODES+PE+SIMD-1];  // a word may reach beyond the last
    reg [7:0] codes_b[0:VECTORS*VALUE_CODES-1];
    reg [7:0] expected[0:VECTORS*VALUE_CODES-1];

    localparam int NOTHING = 0, WEIGHTED = 1, DEPTHWISE = 2, ADD = 3, MULTIPLY = 4, MAX_POOL = 5,
        AVERAGE_POOL = 6, MEAN = 7, TABLE = 8;

    // The layer that is replayed.
    string name, file, file_a, file_b;
    int layer, kind, represents, once_values, from, last_vector, few, v, at, layers;
    int in_h, in_w, in_c, out_h, out_w, out_c, b_h, b_w, b_c;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int groups, folds, bits, own, depth, base, channel_depth, channel_base, upward_channels, multiple;
    int pad_value, zero_a, zero_b, zero, low, high, offset;
    int multiplier_a, multiplier_b, multiplier, shift_a, shift_b, shift;

    // The clock, and what the units read.
    reg clock = 0;
    reg first, last, take, once;
    reg pool_enable = 0, add_enable = 0, multiply_enable = 0;
    reg [8:0] mac_enable = 0, own_enable = 0;  // by bits
    reg [WEIGHT_WIDTH-1:0] word;
    reg [SIMD*8-1:0] shared_codes;
    reg [PE*8-1:0] own_codes;
    reg [PE*32-1:0] bias_word, multiplier_word;
    reg [PE*8-1:0] shift_word, lanes;
    reg [PE-1:0] upward_lanes;
    reg [1:0] pool_kind;
    reg signed [7:0] a, b;
    wire [PE*8-1:0] mac_lanes[0:8];
    wire [PE*8-1:0] own_lanes[0:8];
    wire [8:0] mac_valid, own_valid;
    wire pool_valid;
    wire signed [7:0] add_code, multiply_code, pool_code;

    genvar n;
    generate
        for (n = 2; n <= 8; n = n + 1) begin : units
            if (MAC_BITS[n]) begin : mac
                decant_mac #(
                    .PE(PE), .SIMD(SIMD), .BITS(n), .HIGH_FIRST(HIGH_FIRST), .ROUNDING(ROUNDING)
                ) unit (
                    .clock, .enable(mac_enable[n]), .first, .last, .weights(word[PE*SIMD*n-1:0]),
                    .codes(shared_codes), .biases(bias_word), .multipliers(multiplier_word),
                    .shifts(shift_word), .upward(upward_lanes), .zero(8'(zero)), .low(8'(low)),
                    .high(8'(high)), .valid(mac_valid[n]), .outputs(mac_lanes[n])
                );
            end
            if (DEPTHWISE_BITS[n]) begin : own
                decant_mac #(
                    .PE(PE), .SIMD(1), .BITS(n), .OWN_CODES(1), .HIGH_FIRST(HIGH_FIRST),
                    .ROUNDING(ROUNDING)
                ) unit (
                    .clock, .enable(own_enable[n]), .first, .last, .weights(word[PE*n-1:0]),
                    .codes(own_codes), .biases(bias_word), .multipliers(multiplier_word),
                    .shifts(shift_word), .upward(upward_lanes), .zero(8'(zero)), .low(8'(low)),
                    .high(8'(high)), .valid(own_valid[n]), .outputs(own_lanes[n])
                );
            end
        end
    endgenerate
    decant_add #(.ROUNDING(ROUNDING)) adder (
        .clock, .enable(add_enable), .a, .b, .zero_a(8'(zero_a)), .zero_b(8'(zero_b)),
        .multiplier_a, .multiplier_b, .multiplier, .shift_a(8'(shift_a)), .shift_b(8'(shift_b)),
        .shift(8'(shift)), .once, .zero(8'(zero)), .low(8'(low)), .high(8'(high)), .code(add_code)
    );
    decant_multiply #(.ROUNDING(ROUNDING)) product (
        .clock, .enable(multiply_enable), .a, .b, .zero_a(8'(zero_a)), .zero_b(8'(zero_b)),
        .multiplier, .shift(8'(shift)), .zero(8'(zero)), .low(8'(low)), .high(8'(high)),
        .code(multiply_code)
    );
    decant_pool #(.ROUNDING(ROUNDING)) pool (
        .clock, .enable(pool_enable), .first, .last, .take, .kind(pool_kind), .value(a),
        .zero_in(8'(zero_a)), .multiplier, .shift(8'(shift)), .upward(upward_lanes[0]), .offset,
        .low(8'(low)), .high(8'(high)), .valid(pool_valid), .code(pool_code)
    );

    task tick;
        begin
            #1 clock = 1;
            #1 clock = 0;
        end
    endtask

    // What was compared.
    int compared, different, all_compared, all_different, replayed;
    string first_name;
    int first_layer, first_vector, first_at;
    reg signed [7:0] first_got, first_expected;

    task compare(input int index, input [7:0] got);
        begin
            compared = compared + 1;
            if (got !== expected[v*out_h*out_w*out_c+index]) begin
                if (all_different == 0 && different == 0) begin
                    first_layer = layer;
                    first_name = name;
                    first_vector = v;
                    first_at = index;
                    first_got = got;
                    first_expected = expected[v*out_h*out_w*out_c+index];
                end
                different = different + 1;
            end
        end
    endtask

    // A file holds so many words of so many hexadecimal digits, a line each, and nothing else.
    task check_file(input string path, input int words, input int digits);
        int handle, lines, length;
        reg [LINE-1:0] line;
        begin
            handle = $fopen(path, "r");
            if (handle == 0) $fatal(1, "layer %0d (%s): there is no file %s", layer, name, path);
            lines = 0;
            length = $fgets(line, handle);
            while (length > 0) begin
                if (length != digits + 1)
                    $fatal(1, "layer %0d (%s): word %0d of %s has %0d digits, not %0d", layer, name,
                           lines, path, length - 1, digits);
                lines = lines + 1;
                length = $fgets(line, handle);
            end
            $fclose(handle);
            if (lines != words)
                $fatal(1, "layer %0d (%s): %s holds %0d words, not %0d", layer, name, path, lines,
                       words);
        end
    endtask

    task read_codes(input string path, input int which, input int count);
        begin
            check_file(path, VECTORS * count, 2);
            if (which == 0) $readmemh(path, codes_a, 0, VECTORS * count - 1);
            if (which == 1) $readmemh(path, codes_b, 0, VECTORS * count - 1);
            if (which == 2) $readmemh(path, expected, 0, VECTORS * count - 1);
        end
    endtask

    task start;
        begin
            compared = 0;
            different = 0;
            read_codes(file_a, 0, in_h * in_w * in_c);
            if (kind == ADD || kind == MULTIPLY) read_codes(file_b, 1, b_h * b_w * b_c);
            read_codes({file, ".mem"}, 2, out_h * out_w * out_c);
        end
    endtask

    task finish;
        begin
            $display("layer %0d: %0d codes, %0d different: %s", layer, compared, different, name);
            all_compared = all_compared + compared;
            all_different = all_different + different;
            replayed = replayed + 1;
        end
    endtask

    // The codes of one word: SIMD channels at one tap, or of a depthwise layer one tap of PE channels;
    // in the padding the input's zero point. What lies behind the last channel meets weights of 0.
    task gather(input int group, input int y, input int x, input int fold);
        int i, from_code;
        begin
            from_code = ((v * in_h + y) * in_w + x) * in_c;
            if (y < 0 || y >= in_h || x < 0 || x >= in_w) begin
                shared_codes = {SIMD{8'(pad_value)}};
                own_codes = {PE{8'(pad_value)}};
            end else if (own != 0)
                for (i = 0; i < PE; i = i + 1)
                    own_codes[i*8+:8] = codes_a[from_code+(group*PE+i)/multiple];
            else
                for (i = 0; i < SIMD; i = i + 1)
                    shared_codes[i*8+:8] = codes_a[from_code+fold*SIMD+i];
        end
    endtask

    // One output place of one group of PE channels: all its words in the order of their addresses.
    task replay_group(input int oy, input int ox, input int group);
        int ky, kx, fold, p;
        begin
            bias_word = biases[channel_base+group];
            multiplier_word = multipliers[channel_base+group];
            shift_word = shifts[channel_base+group];
            for (p = 0; p < PE; p = p + 1) upward_lanes[p] = group * PE + p < upward_channels;
            at = base + group * kernel_h * kernel_w * folds;
            first = 1;
            for (ky = 0; ky < kernel_h; ky = ky + 1)
                for (kx = 0; kx < kernel_w; kx = kx + 1)
                    for (fold = 0; fold < folds; fold = fold + 1) begin
                        word = weights[at];
                        gather(group, oy * stride_h - pad_top + ky * dilation_h,
                               ox * stride_w - pad_left + kx * dilation_w, fold);
                        last = ky == kernel_h - 1 && kx == kernel_w - 1 && fold == folds - 1;
                        tick;
                        first = 0;
                        at = at + 1;
                    end
            if (!(own != 0 ? own_valid[bits] : mac_valid[bits]))
                $fatal(1, "layer %0d (%s): no outputs are valid", layer, name);
            lanes = own != 0 ? own_lanes[bits] : mac_lanes[bits];
            for (p = 0; p < PE; p = p + 1)
                if (group * PE + p < out_c)
                    compare((oy * out_w + ox) * out_c + group * PE + p, lanes[p*8+:8]);
        end
    endtask

    task replay_weighted;
        int oy, ox, group;
        begin
            multiple = out_c / in_c;
            check_file({file, "_weights.mem"}, depth, ((own != 0 ? PE : PE * SIMD) * bits + 3) / 4);
            check_file({file, "_biases.mem"}, channel_depth, PE * 8);
            check_file({file, "_multipliers.mem"}, channel_depth, PE * 8);
            check_file({file, "_shifts.mem"}, channel_depth, PE * 2);
            $readmemh({file, "_weights.mem"}, weights, base, base + depth - 1);
            $readmemh({file, "_biases.mem"}, biases, channel_base, channel_base + channel_depth - 1);
            $readmemh({file, "_multipliers.mem"}, multipliers, channel_base,
                      channel_base + channel_depth - 1);
            $readmemh({file, "_shifts.mem"}, shifts, channel_base, channel_base + channel_depth - 1);
            if (own != 0) own_enable[bits] = 1;
            else mac_enable[bits] = 1;
            for (v = from; v <= last_vector; v = v + 1)
                for (oy = 0; oy < out_h; oy = oy + 1)
                    for (ox = 0; ox < out_w; ox = ox + 1)
                        for (group = 0; group < groups; group = group + 1)
                            replay_group(oy, ox, group);
            own_enable = 0;
            mac_enable = 0;
        end
    endtask

    // Two values, element by element; operands of the first sums may be rounded once.
    task replay_pairs;
        int y, x, c;
        begin
            add_enable = kind == ADD;
            multiply_enable = kind == MULTIPLY;
            for (v = from; v <= last_vector; v = v + 1)
                for (at = 0; at < out_h * out_w * out_c; at = at + 1) begin
                    c = b_c > 1 ? at % out_c : 0;
                    x = b_w > 1 ? at / out_c % out_w : 0;
                    y = b_h > 1 ? at / out_c / out_w : 0;
                    a = codes_a[v*out_h*out_w*out_c+at];
                    b = codes_b[((v*b_h+y)*b_w+x)*b_c+c];
                    once = at < once_values;
                    tick;
                    compare(at, kind == MULTIPLY ? multiply_code : add_code);
                end
            add_enable = 0;
            multiply_enable = 0;
        end
    endtask

    // Windows over each channel by itself: pools, and means over all of the input.
    task replay_pool;
        int oy, ox, c, ky, kx, y, x;
        begin
            pool_kind = kind == MAX_POOL ? 2'd0 : kind == AVERAGE_POOL ? 2'd1 : 2'd2;
            pool_enable = 1;
            for (v = from; v <= last_vector; v = v + 1)
                for (oy = 0; oy < out_h; oy = oy + 1)
                    for (ox = 0; ox < out_w; ox = ox + 1)
                        for (c = 0; c < out_c; c = c + 1) begin
                            upward_lanes[0] = c < upward_channels;
                            first = 1;
                            for (ky = 0; ky < kernel_h; ky = ky + 1)
                                for (kx = 0; kx < kernel_w; kx = kx + 1) begin
                                    y = oy * stride_h - pad_top + ky;
                                    x = ox * stride_w - pad_left + kx;
                                    take = y >= 0 && y < in_h && x >= 0 && x < in_w;
                                    if (take) a = codes_a[((v*in_h+y)*in_w+x)*in_c+c];
                                    last = ky == kernel_h - 1 && kx == kernel_w - 1;
                                    tick;
                                    first = 0;
                                end
                            if (!pool_valid) $fatal(1, "layer %0d (%s): no output is valid", layer, name);
                            compare((oy * out_w + ox) * out_c + c, pool_code);
                        end
            pool_enable = 0;
        end
    endtask

    // A function of each code: the image at code + 128.
    task replay_table;
        begin
            check_file({file, "_table.mem"}, 256, 2);
            $readmemh({file, "_table.mem"}, table_codes);
            for (v = from; v <= last_vector; v = v + 1)
                for (at = 0; at < out_h * out_w * out_c; at = at + 1)
                    compare(at, table_codes[codes_a[v*out_h*out_w*out_c+at]^8'h80]);
        end
    endtask

    task replay;
        begin
            start;
            own = kind == DEPTHWISE ? 1 : 0;
            case (kind)
                WEIGHTED, DEPTHWISE: replay_weighted;
                ADD, MULTIPLY: replay_pairs;
                TABLE: replay_table;
                default: replay_pool;
            endcase
            finish;
        end
    endtask

// What network.svh says of layer P goes to the variables above. layers.svh has one of these a layer.
`define DECANT_SHAPES(P) \
    name = P``_NAME; file = P``_FILE; file_a = P``_INPUT; represents = P``_FEW; \
    low = P``_LOW; high = P``_HIGH; zero_a = P``_IN_ZERO; zero = P``_OUT_ZERO; \
    in_h = P``_IN_H; in_w = P``_IN_W; in_c = P``_IN_C; \
    out_h = P``_OUT_H; out_w = P``_OUT_W; out_c = P``_OUT_C;
`define DECANT_WINDOW(P) \
    kernel_h = P``_KERNEL_H; kernel_w = P``_KERNEL_W; stride_h = P``_STRIDE_H; \
    stride_w = P``_STRIDE_W; dilation_h = P``_DILATION_H; dilation_w = P``_DILATION_W; \
    pad_top = P``_PAD_TOP; pad_left = P``_PAD_LEFT; pad_value = P``_PAD_VALUE;
`define DECANT_WEIGHTED(P, KIND) begin \
    kind = KIND; \
    `DECANT_SHAPES(P) `DECANT_WINDOW(P) \
    bits = P``_BITS; groups = P``_GROUPS; folds = P``_FOLDS; upward_channels = P``_UPWARD; \
    depth = P``_WEIGHT_DEPTH; base = P``_WEIGHT_BASE; \
    channel_depth = P``_CHANNEL_DEPTH; channel_base = P``_CHANNEL_BASE; \
    end
`define DECANT_PAIRS(P, KIND) \
    kind = KIND; \
    `DECANT_SHAPES(P) \
    file_b = P``_B_INPUT; zero_b = P``_B_ZERO; b_h = P``_B_H; b_w = P``_B_W; b_c = P``_B_C; \
    multiplier = P``_MULTIPLIER; shift = P``_SHIFT;
`define DECANT_ADD(P) begin \
    `DECANT_PAIRS(P, ADD) \
    multiplier_a = P``_MULTIPLIER_A; multiplier_b = P``_MULTIPLIER_B; \
    shift_a = P``_SHIFT_A; shift_b = P``_SHIFT_B; once_values = P``_ONCE; \
    end
`define DECANT_MULTIPLY(P) begin \
    `DECANT_PAIRS(P, MULTIPLY) \
    end
`define DECANT_POOL(P, KIND) begin \
    kind = KIND; \
    `DECANT_SHAPES(P) `DECANT_WINDOW(P) \
    zero_a = 0; upward_channels = 0; \
    end
`define DECANT_MEAN(P) begin \
    kind = MEAN; \
    `DECANT_SHAPES(P) \
    kernel_h = in_h; kernel_w = in_w; stride_h = 1; stride_w = 1; pad_top = 0; pad_left = 0; \
    zero_a = P``_SUM_ZERO; multiplier = P``_MULTIPLIER; shift = P``_SHIFT; \
    offset = P``_OFFSET; upward_channels = P``_UPWARD; \
    end
`define DECANT_TABLE(P) begin \
    kind = TABLE; \
    `DECANT_SHAPES(P) \
    end
`define DECANT_SKIP(P, WHY) begin \
    kind = NOTHING; \
    $display("not replayed: %s: %s", P``_NAME, WHY); \
    end

    initial begin
        from = 0;
        last_vector = VECTORS - 1;
        few = $test$plusargs("few") ? 1 : 0;
        if ($value$plusargs("from=%d", v)) from = v;
        if ($value$plusargs("to=%d", v)) last_vector = v;
        if (from < 0 || last_vector >= VECTORS || from > last_vector)
            $fatal(1, "vectors are 0 to %0d", VECTORS - 1);
        all_compared = 0;
        all_different = 0;
        replayed = 0;
        for (at = 0; at < VECTORS * VALUE_CODES + PE + SIMD; at = at + 1) codes_a[at] = 0;
        for (layer = 1; layer < LAYERS; layer = layer + 1) begin
            case (layer)
`include "layers.svh"
                default: kind = NOTHING;
            endcase
            if (kind != NOTHING && (few == 0 || represents != 0)) replay;
        end
        $display("replayed %0d layers: %0d codes, %0d different", replayed, all_compared,
                 all_different);
        if (all_different > 0)
            $fatal(1, "layer %0d (%s), vector %0d, output %0d: got %0d, expected %0d", first_layer,
                   first_name, first_vector, first_at, first_got, first_expected);
        $finish;
    end
endmodule
