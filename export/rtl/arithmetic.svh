// How a sum becomes a code: the rounding rules of Decant's profiles that multiply by an integer and
// shift. Everything here is combinational. Included in the body of a module, which any tool reads.
//
//   multiplier m, shift s: the factor m * 2^(s - 31); m is not negative, s lies in [-31, 31]
//
// Rules, by the numbers that network.svh names (L.._ROUNDING):
    localparam ROUND_DOUBLE = 0;     // twice: the product's high half, then the shift, a half away from 0
    localparam ROUND_DOUBLE_UP = 1;  // the same, the second half upward where `upward` is set
    localparam ROUND_SINGLE = 2;     // once, a half upward
    localparam ROUND_HALF_EVEN = 3;  // once, a half to the even integer
    localparam ROUND_HALF_AWAY = 4;  // once, a half away from 0

    function automatic signed [31:0] saturate(input signed [63:0] x);
        if (x > 64'sd2147483647)
            saturate = 32'sh7fffffff;
        else if (x < -64'sd2147483648)
            saturate = 32'sh80000000;
        else
            saturate = x[31:0];
    endfunction

    // The high half of x * m, doubled and rounded: floor((x * m + 2^30) / 2^31).
    function automatic signed [63:0] high_product(input signed [63:0] x, input signed [63:0] m);
        high_product = (x * m + 64'sd1073741824) >>> 31;
    endfunction

    function automatic signed [31:0] round_twice(input signed [31:0] sum, input signed [31:0] m,
                                                 input signed [7:0] s, input upward);
        reg signed [63:0] x, half;
        reg [5:0] left, right;
        left = s > 0 ? s[5:0] : 6'd0;
        right = s < 0 ? -s[5:0] : 6'd0;
        half = right > 0 ? 64'sd1 <<< (right - 6'd1) : 64'sd0;
        x = 64'(sum);
        x = 64'(saturate(x <<< left));
        x = high_product(x, 64'(m));
        if (x < 0 && !upward)
            x = -((half - x) >>> right);
        else
            x = (x + half) >>> right;
        round_twice = x[31:0];
    endfunction

    function automatic signed [31:0] round_once(input [31:0] rounding, input signed [31:0] sum,
                                                input signed [31:0] m, input signed [7:0] s);
        reg signed [63:0] x, half, rest;
        reg [5:0] right;
        x = 64'(sum) * 64'(m);
        right = 6'd31 - s[5:0];
        half = 64'sd1 <<< (right - 6'd1);
        rest = x & ((half <<< 1) - 64'sd1);
        case (rounding)
            ROUND_HALF_EVEN: begin
                x = x >>> right;
                if (rest > half || (rest == half && x[0]))
                    x = x + 64'sd1;
            end
            ROUND_HALF_AWAY: x = (x + half - (x < 0 ? 64'sd1 : 64'sd0)) >>> right;
            default: x = (x + half) >>> right;
        endcase
        round_once = saturate(x);
    endfunction

    // `rounding` is a constant where this is used: one of the two rules is built.
    function automatic signed [31:0] requantize(input [31:0] rounding, input signed [31:0] sum,
                                                input signed [31:0] m, input signed [7:0] s,
                                                input upward);
        if (rounding == ROUND_DOUBLE || rounding == ROUND_DOUBLE_UP)
            requantize = round_twice(sum, m, s, upward && rounding == ROUND_DOUBLE_UP);
        else
            requantize = round_once(rounding, sum, m, s);
    endfunction

    function automatic signed [7:0] clamp(input signed [32:0] code, input signed [7:0] low,
                                          input signed [7:0] high);
        if (code < 33'(low))
            clamp = low;
        else if (code > 33'(high))
            clamp = high;
        else
            clamp = code[7:0];
    endfunction
