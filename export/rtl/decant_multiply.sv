// The product of two codes, one a clock.
module decant_multiply #(
    parameter ROUNDING = 0
) (
    input clock,
    input enable,
    input signed [7:0] a,
    input signed [7:0] b,
    input signed [7:0] zero_a,
    input signed [7:0] zero_b,
    input signed [31:0] multiplier,
    input signed [7:0] shift,
    input signed [7:0] zero,
    input signed [7:0] low,
    input signed [7:0] high,
    output reg signed [7:0] code
);
`include "arithmetic.svh"

    reg signed [31:0] left, right, scaled;

    always @(posedge clock) if (enable) begin
        left = 32'(a) - 32'(zero_a);
        right = 32'(b) - 32'(zero_b);
        scaled = requantize(ROUNDING, left * right, multiplier, shift, 1'b0);
        code <= clamp(33'(scaled) + 33'(zero), low, high);
    end
endmodule
