// Pools and means of one channel, a code a clock. `first` and `last` mark the codes of one output place;
// `take` is 0 for what lies in the padding, which no pool counts.
module decant_pool #(
    parameter ROUNDING = 0  // of means
) (
    input clock,
    input enable,
    input first,
    input last,
    input take,
    input [1:0] kind,  // 0: the largest; 1: the average, a half away from 0; 2: a mean by its multiplier
    input signed [7:0] value,
    input signed [7:0] zero_in,  // of a mean: subtracted from each code
    input signed [31:0] multiplier,
    input signed [7:0] shift,
    input upward,
    input signed [31:0] offset,  // of a mean: added behind its scaling
    input signed [7:0] low,
    input signed [7:0] high,
    output reg valid,
    output reg signed [7:0] code
);
`include "arithmetic.svh"

    reg signed [31:0] sum, taps;
    reg signed [7:0] best;
    reg signed [31:0] scaled;

    always @(posedge clock) begin
        valid <= enable && last;
        if (enable) begin
            if (first) begin
                sum = 0;
                taps = 0;
                best = -128;
            end
            if (take) begin
                sum = sum + 32'(value) - 32'(zero_in);
                taps = taps + 1;
                best = value > best ? value : best;
            end
            case (kind)
                2'd0: scaled = 32'(best);
                2'd1: scaled = last ? (sum > 0 ? sum + taps / 2 : sum - taps / 2) / taps : 0;
                default: scaled = last ? requantize(ROUNDING, sum, multiplier, shift, upward) : 0;
            endcase
            code <= clamp(33'(scaled) + (kind == 2'd2 ? 33'(offset) : 33'sd0), low, high);
        end
    end
endmodule
