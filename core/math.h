// Transcendental functions whose bits reach a weight.
//
// libm chooses its code by CPU, so the same program gives other bits on another machine. These use
// only +, -, *, / and sqrt in double precision, in one order, without fused multiply-add.
// Accuracy: relative error below 1e-14 on the stated ranges (tests/core/test_math.c holds it
// against libm in long double).

#ifndef DC_CORE_MATH_H
#define DC_CORE_MATH_H

double dc_exp(double x);            // 0 below -745, +Inf above 709.78; NaN stays NaN
double dc_ln(double x);             // x > 0; -Inf at 0; NaN below
double dc_cos_turns(double turns);  // cos(2 pi turns), any finite argument
double dc_sin_turns(double turns);
double dc_tanh(double x);
double dc_sigmoid(double x);        // 1 / (1 + exp(-x)), no overflow
double dc_pow(double x, double y);  // below 1e-12; NaN where x < 0 and y is not a whole number
double dc_erf(double x);            // below 1e-10, as all of core/math_inline.h

#endif
