# shellcheck shell=bash
# Cores that exported C is compiled for, and how examples/device is linked for them. Sourced.

# core: flags of the compiler; where code and memory are on QEMU's board
# shellcheck disable=SC2034
{
    cores=(m0 m3 m4 m7 m33 m55)
    declare -A flags=(
        [m0]="-mcpu=cortex-m0" [m3]="-mcpu=cortex-m3"
        [m4]="-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"
        [m7]="-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16"
        [m33]="-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16"
        [m55]="-mcpu=cortex-m55 -mfloat-abi=hard")
    declare -A memory=([m33]="-Wl,--defsym=CODE=0x10000000,--defsym=RAM=0x38000000")
}

# link_example FOLDER CORE OPTIMIZATION PROGRAM [FLAG ...]: FOLDER/network.c with examples/device
link_example() {
    # shellcheck disable=SC2086
    arm-none-eabi-gcc -std=gnu99 "$3" -Wall -Wextra -Werror -mthumb ${flags[$2]} "${@:5}" -nostartfiles \
        --specs=nano.specs --specs=nosys.specs ${memory[$2]:-} -Wl,-T,examples/device/mps2.ld \
        -Iexamples/device -I"$1" -include network.h -DNETWORK=network -DINPUT_BYTES=NETWORK_INPUT_SIZE \
        -DOUTPUT_BYTES=NETWORK_OUTPUT_SIZE examples/device/main.c examples/device/mps2.c "$1/network.c" -o "$4"
}
