# shellcheck shell=bash
# The one list of Debian packages, and how they are installed. Sourced by quickstart and check.

# The arrays are read by whoever sources this file.
# shellcheck disable=SC2034
{
    packages_build=(gcc libc6-dev cmake ninja-build pkg-config libcairo2-dev libfyaml-dev libhdf5-dev
        libjansson-dev libjpeg62-turbo-dev libpng-dev liblzma-dev
        libprotobuf-c-dev libsodium-dev protobuf-c-compiler zlib1g-dev)
    packages_data=(dataset-fashion-mnist)
    packages_test=(libcmocka-dev clang-format g++ minisign python3 xz-utils)
    packages_all=(make clang libclang-rt-dev clang-tidy cppcheck shellcheck valgrind
        python3-pil python3-torchvision python3-venv
        gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
        iverilog verilator
        gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc mandoc munge slurm-wlm zsh)
    packages_exhaustive=(dpkg-dev lintian mmdebstrap)
}

missing_packages=()

# Sets missing_packages to those of the arguments that are not installed.
find_missing() {
    local package status
    missing_packages=()
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = installed ] || missing_packages+=("$package")
    done
}

# Installs what is missing of the arguments; messages of apt go to the file $1, whose end is shown on a
# failure. Returns 1, with a message, where it can't.
install_missing() {
    local log=$1 root=()
    shift
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This machine has no apt-get. What Debian 12 calls the following is needed, and taken as given:"
        echo "  $*"
        return 0
    fi
    find_missing "$@"
    if [ ${#missing_packages[@]} -eq 0 ]; then
        echo "Debian packages: all $# installed"
        return 0
    fi
    echo "Debian packages: $# needed, installing ${#missing_packages[@]}: ${missing_packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "error: not root and no sudo; have an administrator run:" >&2
            echo "  apt-get install --no-install-recommends ${missing_packages[*]}" >&2
            return 1
        fi
        root=(sudo)
    fi
    mkdir -p "$(dirname "$log")"
    if ! { "${root[@]}" apt-get update &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=120 \
            install --no-install-recommends "${missing_packages[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "error: apt-get could not install: ${missing_packages[*]} (all of its messages: $log)" >&2
        return 1
    fi
}
