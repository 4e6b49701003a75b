// Multiply-accumulate and requantize: PE output channels, each adding SIMD products a clock.
//
// One output place: hold `enable` for as many clocks as the place has words, `first` with the first
// of them, `last` with the last. On the clock after `last`, `valid` is set and `outputs` holds PE codes.
// The words of the channels (biases, multipliers, shifts) are read with `last` and `first`.
//
// Biases hold the input's zero point already, so codes are multiplied as they are, and what lies in the
// padding is the input's zero point (L.._PAD_VALUE), not 0. Sums wrap at 32 bits on the way; the last one fits.
module decant_mac #(
    parameter PE = 1,
    parameter SIMD = 1,
    parameter BITS = 8,        // of a weight
    parameter OWN_CODES = 0,   // 1: depthwise, a code for each channel; 0: SIMD codes for all
    parameter HIGH_FIRST = 0,  // 1: the first lane is in the highest bits of a word
    parameter ROUNDING = 0
) (
    input clock,
    input enable,
    input first,
    input last,
    input [PE*SIMD*BITS-1:0] weights,  // lane p * SIMD + s
    input [(OWN_CODES ? PE : SIMD)*8-1:0] codes,  // the first in the lowest bits
    input [PE*32-1:0] biases,
    input [PE*32-1:0] multipliers,
    input [PE*8-1:0] shifts,
    input [PE-1:0] upward,  // of ROUND_DOUBLE_UP
    input signed [7:0] zero,
    input signed [7:0] low,
    input signed [7:0] high,
    output reg valid,
    output reg [PE*8-1:0] outputs
);
`include "arithmetic.svh"

    reg signed [31:0] sums[0:PE-1];
    reg signed [31:0] sum, scaled;
    reg signed [BITS-1:0] weight;
    reg signed [7:0] code;
    integer p, s;

    always @(posedge clock) begin
        valid <= enable && last;
        if (enable)
            for (p = 0; p < PE; p = p + 1) begin
                sum = first ? biases[(HIGH_FIRST!=0?PE-1-p:p)*32+:32] : sums[p];
                for (s = 0; s < SIMD; s = s + 1) begin
                    weight = weights[(HIGH_FIRST!=0?PE*SIMD-1-p*SIMD-s:p*SIMD+s)*BITS+:BITS];
                    code = codes[(OWN_CODES != 0 ? p : s)*8+:8];
                    sum = sum + 32'(weight) * 32'(code);
                end
                sums[p] <= sum;
                if (last) begin
                    scaled = requantize(ROUNDING, sum, multipliers[(HIGH_FIRST!=0?PE-1-p:p)*32+:32],
                                        shifts[(HIGH_FIRST!=0?PE-1-p:p)*8+:8], upward[p]);
                    outputs[p*8+:8] <= clamp(33'(scaled) + 33'(zero), low, high);
                end
            end
    end
endmodule
