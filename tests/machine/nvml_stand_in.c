/* A stand-in for NVIDIA's libnvidia-ml.so.1 with two GPUs, so that the real pynvml runs without a GPU.
 *
 * The n-th reading of utilisation says 10 * n percent. The environment makes it misbehave:
 * STAND_IN_INIT=code        nvmlInit fails with that code
 * STAND_IN_FAIL_AFTER=n     from reading n + 1 on the GPU is lost
 * STAND_IN_HANG_AFTER=n     from reading n + 1 on the driver never answers
 * STAND_IN_BARE=1           no power, no processes, no memory of version 2: an old or small GPU
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { MB = 1 << 20 };

typedef struct { const char *uuid; unsigned milliwatts; } Gpu;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static Gpu gpus[] = {
    {"GPU-aaaaaaaa-0000-0000-0000-000000000000", 100000},
    {"GPU-bbbbbbbb-0000-0000-0000-000000000000", 200000},
};
static int readings;

static int set_to(const char *name) {
    const char *value = getenv(name);
    return value ? atoi(value) : 0;
}

int nvmlInitWithFlags(unsigned flags) { return set_to("STAND_IN_INIT"); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "another error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    if (index > 1) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) { return NOT_FOUND; }

int nvmlDeviceGetName(Gpu *gpu, char *name, unsigned length) {
    strncpy(name, gpu == gpus ? "First GPU" : "Second GPU", length);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    strncpy(version, "550.54", length);
    return SUCCESS;
}

int nvmlDeviceGetUUID(Gpu *gpu, char *uuid, unsigned length) {
    strncpy(uuid, gpu->uuid, length);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *utilization) {
    readings++;
    if (getenv("STAND_IN_FAIL_AFTER") && readings > set_to("STAND_IN_FAIL_AFTER")) return GPU_IS_LOST;
    while (getenv("STAND_IN_HANG_AFTER") && readings > set_to("STAND_IN_HANG_AFTER")) pause();
    utilization->gpu = 10 * readings;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
    memory->total = 12288ull * MB;
    memory->used = 4000ull * MB;
    memory->free = 8288ull * MB;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, MemoryV2 *memory) {
    if (set_to("STAND_IN_BARE")) return NOT_SUPPORTED;
    memory->total = 12288ull * MB;
    memory->used = 3000ull * MB;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *milliwatts) {
    *milliwatts = gpu->milliwatts;
    return set_to("STAND_IN_BARE") ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetTemperature(Gpu *gpu, int sensor, unsigned *celsius) { *celsius = 60 + readings; return SUCCESS; }

int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned *count, Process *processes) {
    if (set_to("STAND_IN_BARE")) return NOT_SUPPORTED;
    if (*count < 2) { *count = 2; return INSUFFICIENT_SIZE; }
    *count = 2;
    processes[0] = (Process){1, 500ull * MB, 0, 0};
    processes[1] = (Process){(unsigned)getpid(), 1200ull * MB, 0, 0};
    return SUCCESS;
}
