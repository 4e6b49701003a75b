// The sum of two codes of different scales, one a clock: both are brought to a common fine scale
// (2^20 steps), added, and scaled once. `once`: operands are rounded once on the way, not twice.
module decant_add #(
    parameter ROUNDING = 0
) (
    input clock,
    input enable,
    input signed [7:0] a,
    input signed [7:0] b,
    input signed [7:0] zero_a,
    input signed [7:0] zero_b,
    input signed [31:0] multiplier_a,
    input signed [31:0] multiplier_b,
    input signed [31:0] multiplier,
    input signed [7:0] shift_a,
    input signed [7:0] shift_b,
    input signed [7:0] shift,
    input once,
    input signed [7:0] zero,
    input signed [7:0] low,
    input signed [7:0] high,
    output reg signed [7:0] code
);
`include "arithmetic.svh"

    reg signed [31:0] left, right, scaled;

    // v * 2^20 * m * 2^(s - 31): the shift first, down where it is to the right, then one rounding.
    function automatic signed [31:0] scale_once(input signed [31:0] v, input signed [31:0] m,
                                                input signed [7:0] s);
        reg signed [63:0] x;
        x = 64'(v);
        x = s < -20 ? x >>> (-20 - s) : x <<< (20 + s);
        x = high_product(x, 64'(m));
        scale_once = x[31:0];
    endfunction

    always @(posedge clock) if (enable) begin
        left = 32'(a) - 32'(zero_a);
        right = 32'(b) - 32'(zero_b);
        if (once) begin
            left = scale_once(left, multiplier_a, shift_a);
            right = scale_once(right, multiplier_b, shift_b);
        end else begin
            left = requantize(ROUNDING, left <<< 20, multiplier_a, shift_a, 1'b0);
            right = requantize(ROUNDING, right <<< 20, multiplier_b, shift_b, 1'b0);
        end
        scaled = requantize(ROUNDING, left + right, multiplier, shift, 1'b0);
        code <= clamp(33'(scaled) + 33'(zero), low, high);
    end
endmodule
