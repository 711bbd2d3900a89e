/* A stand-in for libnvidia-ml.so.1 that plays the machine described in a text file.
 *
 * The file is named by SPECTUI_NVML_STUB and read anew when it has changed, a line each of `key value`. A key of one GPU has
 * the GPU's index before it (`1.power 200000`), a key of a MIG slice also the slice's (`0.mig2.power`); a GPU also has
 * what has no index before it. What is not in the file is not supported. For every function:
 *
 *   fail.FUNCTION CODE      it returns CODE; fail.METRIC for a GPM metric's own code
 *   hang.FUNCTION SECONDS   it returns after so many seconds, or when the line is gone
 *   lost 1                  everything about the GPU returns "GPU is lost"
 *
 * Functions named stub_* tell a test in the same process what was asked of the driver.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
enum { MAX_GPUS = 16, MAX_SLICES = 8, MAX_FUNCTIONS = 64, LINE = 256 };

typedef struct {
    int gpu;
    int slice; /* -1: the whole GPU */
} Device;

static Device devices[MAX_GPUS][MAX_SLICES + 1];

/* --- the file --- */

static char script[1 << 16];
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;

/* Read the file again only when it is another one, so that what is measured beside the stub is not its reading. */
static void refresh(void) {
    static struct stat before;
    const char *path = getenv("SPECTUI_NVML_STUB");
    struct stat now;
    if (!path || stat(path, &now)) {
        script[0] = 0;
        return;
    }
    if (now.st_ino == before.st_ino && now.st_size == before.st_size &&
        now.st_mtim.tv_sec == before.st_mtim.tv_sec && now.st_mtim.tv_nsec == before.st_mtim.tv_nsec)
        return;
    FILE *file = fopen(path, "r");
    script[file ? fread(script, 1, sizeof script - 1, file) : 0] = 0;
    if (file) fclose(file);
    before = now;
}

static int find_exactly(const char *key, char *value) {
    size_t length = strlen(key);
    int found = 0;
    pthread_mutex_lock(&reading);
    refresh();
    for (char *line = script; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            size_t end = strcspn(line, "\n") - length - 1;
            if (end >= LINE) end = LINE - 1;
            memcpy(value, line + length + 1, end);
            value[end] = 0;
            found = 1;
            break;
        }
    }
    pthread_mutex_unlock(&reading);
    return found;
}

static int find(const Device *device, const char *key, char *value) {
    char whole[LINE];
    if (!device) return find_exactly(key, value);
    if (device->slice >= 0) {
        snprintf(whole, sizeof whole, "%d.mig%d.%s", device->gpu, device->slice, key);
        return find_exactly(whole, value);
    }
    snprintf(whole, sizeof whole, "%d.%s", device->gpu, key);
    return find_exactly(whole, value) || find_exactly(key, value);
}

static int number(const Device *device, const char *key, unsigned long long *value) {
    char text[LINE];
    if (!find(device, key, text)) return NOT_SUPPORTED;
    *value = strtoull(text, NULL, 0);
    return OK;
}

static int unsigned_number(const Device *device, const char *key, unsigned int *value) {
    unsigned long long wide = 0;
    int code = number(device, key, &wide);
    if (code == OK) *value = (unsigned int)wide;
    return code;
}

static unsigned long long number_or(const Device *device, const char *key, unsigned long long otherwise) {
    unsigned long long value = otherwise;
    number(device, key, &value);
    return value;
}

static int text(const Device *device, const char *key, char *value, unsigned int size) {
    char found[LINE];
    if (!find(device, key, found)) return NOT_SUPPORTED;
    snprintf(value, size, "%s", found);
    return OK;
}

/* --- what was asked --- */

static struct { const char *name; atomic_int count; } functions[MAX_FUNCTIONS];
static pthread_mutex_t functions_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int initialised, shutdowns, samples_alive, hanging, hung_to_the_end;

static void count(const char *name) {
    pthread_mutex_lock(&functions_lock);
    for (int i = 0; i < MAX_FUNCTIONS; i++) {
        if (!functions[i].name) functions[i].name = name;
        if (strcmp(functions[i].name, name) == 0) {
            functions[i].count++;
            break;
        }
    }
    pthread_mutex_unlock(&functions_lock);
}

int stub_calls(const char *name) {
    for (int i = 0; i < MAX_FUNCTIONS && functions[i].name; i++)
        if (strcmp(functions[i].name, name) == 0) return functions[i].count;
    return 0;
}

int stub_initialised(void) { return initialised; }
int stub_shutdowns(void) { return shutdowns; }
int stub_samples_alive(void) { return samples_alive; }
int stub_hanging(void) { return hanging; }
int stub_hung_to_the_end(void) { return hung_to_the_end; }

void stub_reset(void) {
    for (int i = 0; i < MAX_FUNCTIONS; i++) functions[i].count = 0;
    initialised = shutdowns = samples_alive = hanging = hung_to_the_end = 0;
}

/* --- what every function begins with --- */

static void hang(const Device *device, const char *key) {
    struct timespec start, now, pause = {0, 1000000};
    unsigned long long seconds = 0;
    if (number(device, key, &seconds) != OK) return;
    clock_gettime(CLOCK_MONOTONIC, &start);
    hanging++;
    do {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec >= (time_t)seconds) {
            hung_to_the_end++;
            break;
        }
    } while (number(device, key, &seconds) == OK);
    hanging--;
}

static int begin(const char *name, const Device *device, int starts) {
    char key[LINE];
    count(name);
    snprintf(key, sizeof key, "hang.%s", name);
    hang(device, key);
    if (!starts && !initialised) return UNINITIALIZED;
    if (device) {
        Device gpu = {device->gpu, -1};
        if (number_or(&gpu, "lost", 0)) return LOST;
    }
    snprintf(key, sizeof key, "fail.%s", name);
    return (int)number_or(device, key, OK);
}

#define BEGIN(device)                            \
    int code = begin(__func__, (device), 0);     \
    if (code != OK) return code

/* --- the library --- */

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    int code = begin(__func__, NULL, 1);
    if (code == OK) initialised++;
    return code;
}

int nvmlShutdown(void) {
    BEGIN(NULL);
    initialised--;
    shutdowns++;
    return OK;
}

const char *nvmlErrorString(int code) {
    static char words[LINE];
    snprintf(words, sizeof words, "stub error %d", code);
    return words;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int size) {
    BEGIN(NULL);
    return text(NULL, "driver", version, size);
}

int nvmlDeviceGetCount_v2(unsigned int *found) {
    BEGIN(NULL);
    *found = (unsigned int)number_or(NULL, "devices", 0);
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device) {
    if (index >= MAX_GPUS || index >= number_or(NULL, "devices", 0)) return INVALID;
    Device *found = &devices[index][MAX_SLICES];
    *found = (Device){(int)index, -1};
    BEGIN(found);
    *device = found;
    return OK;
}

int nvmlDeviceGetName(Device *device, char *name, unsigned int size) {
    BEGIN(device);
    return text(device, "name", name, size);
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned int size) {
    BEGIN(device);
    return text(device, "uuid", uuid, size);
}

/* --- memory --- */

typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } Memory;

int nvmlDeviceGetMemoryInfo_v2(Device *device, Memory *memory) {
    BEGIN(device);
    if (memory->version != 0x02000028) return 25;
    code = number(device, "memory_total", &memory->total);
    if (code != OK) return code;
    memory->used = number_or(device, "memory_used", 0);
    memory->reserved = number_or(device, "memory_reserved", 0);
    memory->free = memory->total - memory->used - memory->reserved;
    return OK;
}

typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, compute; } Process;

int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned int *room, Process *processes) {
    BEGIN(device);
    char ours[LINE];
    unsigned long long others = 0;
    Process found[2];
    unsigned int running = 0;
    if (number(device, "other_process_memory", &others) == OK) found[running++] = (Process){1, others, 0, 0};
    if (find(device, "process_memory", ours)) {
        unsigned long long used = strcmp(ours, "unknown") == 0 ? ~0ULL : strtoull(ours, NULL, 0);
        found[running++] = (Process){(unsigned int)getpid(), used, 0, 0};
    }
    unsigned int given = *room;
    *room = running;
    if (given < running) return TOO_SMALL;
    if (running) memcpy(processes, found, running * sizeof *found);
    return OK;
}

typedef struct { unsigned int pid; unsigned long long at; unsigned int sm, memory, encoder, decoder; } Use;

int nvmlDeviceGetProcessUtilization(Device *device, Use *uses, unsigned int *room, unsigned long long since) {
    BEGIN(device);
    (void)since;
    unsigned long long ours = 0, theirs = 0;
    if (number(device, "sm_of_process", &ours) != OK) return NOT_SUPPORTED;
    number(device, "sm_of_others", &theirs);
    if (!ours && !theirs) return NOT_FOUND;
    unsigned int given = *room;
    *room = 3;
    if (given < 3 || !uses) return TOO_SMALL;
    uses[0] = (Use){(unsigned int)getpid(), 1, (unsigned int)ours, 0, 0, 0};
    uses[1] = (Use){1, 2, (unsigned int)theirs / 2, 0, 0, 0};
    uses[2] = (Use){1, 3, (unsigned int)theirs, 0, 0, 0};
    return OK;
}

int nvmlDeviceGetMemoryBusWidth(Device *device, unsigned int *bits) {
    BEGIN(device);
    return unsigned_number(device, "bus_width", bits);
}

/* --- clocks, power, temperature --- */

int nvmlDeviceGetMaxClockInfo(Device *device, unsigned int clock, unsigned int *mhz) {
    BEGIN(device);
    return unsigned_number(device, clock == 2 ? "max_clock_memory" : "max_clock_sm", mhz);
}

int nvmlDeviceGetClockInfo(Device *device, unsigned int clock, unsigned int *mhz) {
    BEGIN(device);
    return unsigned_number(device, clock == 2 ? "clock_memory" : "clock_sm", mhz);
}

int nvmlDeviceGetUtilizationRates(Device *device, unsigned int *rates) {
    BEGIN(device);
    rates[0] = (unsigned int)number_or(device, "busy_gpu", 0);
    return unsigned_number(device, "busy_memory", &rates[1]);
}

int nvmlDeviceGetPowerUsage(Device *device, unsigned int *milliwatts) {
    BEGIN(device);
    return unsigned_number(device, "power", milliwatts);
}

int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *millijoules) {
    BEGIN(device);
    unsigned int joules = 0;
    int answer = unsigned_number(device, "energy", &joules);
    *millijoules = 1000ull * joules;
    return answer;
}

int nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned int *milliwatts) {
    BEGIN(device);
    return unsigned_number(device, "power_limit", milliwatts);
}

typedef struct { unsigned int version, sensor; int degrees; } Temperature;

int nvmlDeviceGetTemperatureV(Device *device, Temperature *temperature) {
    BEGIN(device);
    return unsigned_number(device, "temperature", (unsigned int *)&temperature->degrees);
}

int nvmlDeviceGetTemperature(Device *device, unsigned int sensor, unsigned int *degrees) {
    (void)sensor;
    BEGIN(device);
    return unsigned_number(device, "temperature", degrees);
}

typedef struct {
    unsigned int field, scope;
    long long at, latency;
    unsigned int type, code;
    union { unsigned int number; unsigned long long wide; } value;
} Field;

int nvmlDeviceGetFieldValues(Device *device, int wanted, Field *fields) {
    BEGIN(device);
    for (int i = 0; i < wanted; i++) {
        fields[i].type = 1;
        fields[i].code = fields[i].field == 82
            ? (unsigned int)unsigned_number(device, "temperature_memory", &fields[i].value.number)
            : NOT_SUPPORTED;
    }
    return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(Device *device, unsigned long long *reasons) {
    BEGIN(device);
    return number(device, "throttle", reasons);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, unsigned long long *reasons) {
    BEGIN(device);
    return number(device, "throttle", reasons);
}

int nvmlDeviceGetPcieThroughput(Device *device, unsigned int counter, unsigned int *value) {
    (void)counter;
    BEGIN(device);
    *value = 0;
    return OK;
}

/* --- MIG: a slice is there when the file knows its instance --- */

int nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending) {
    BEGIN(device);
    *pending = 0;
    return unsigned_number(device, "mig", current);
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned int *most) {
    BEGIN(device);
    *most = MAX_SLICES - 1;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned int place, Device **slice) {
    BEGIN(device);
    char instance[LINE];
    if (place >= MAX_SLICES) return INVALID;
    Device *found = &devices[device->gpu][place];
    *found = (Device){device->gpu, (int)place};
    if (!find(found, "instance", instance)) return NOT_FOUND;
    *slice = found;
    return OK;
}

int nvmlDeviceGetGpuInstanceId(Device *device, unsigned int *instance) {
    BEGIN(device);
    return unsigned_number(device, "instance", instance);
}

typedef struct { unsigned int counts[6], instance_slices, compute_slices; unsigned long long memory_mb; } Attributes;

int nvmlDeviceGetAttributes_v2(Device *device, Attributes *attributes) {
    BEGIN(device);
    memset(attributes, 0, sizeof *attributes);
    attributes->compute_slices = (unsigned int)number_or(device, "compute_slices", 0);
    attributes->memory_mb = number_or(device, "memory_mb", 0);
    return unsigned_number(device, "instance_slices", &attributes->instance_slices);
}

/* --- GPM: a sample knows its device and its number, so that mixed up samples are noticed --- */

enum { ALIVE = 0x67706d, FREED = 0 };
typedef struct { int state, taken; Device device; } Sample;
typedef struct { unsigned int id, code; double value; const char *names[3]; } Metric;
typedef struct { unsigned int version, wanted; Sample *earlier, *later; Metric metrics[]; } MetricsGet;

static const struct { unsigned int id; const char *key; } metrics[] = {
    {2, "gpm_sm"}, {5, "gpm_tensor"}, {10, "gpm_bandwidth"}, {20, "gpm_pcie_send"}, {21, "gpm_pcie_receive"},
};
static atomic_int taken;

int nvmlGpmQueryDeviceSupport(Device *device, unsigned int *support) {
    BEGIN(device);
    support[1] = (unsigned int)number_or(device, "gpm", 0);
    return OK;
}

int nvmlGpmSampleAlloc(Sample **sample) {
    BEGIN(NULL);
    *sample = calloc(1, sizeof **sample);
    (*sample)->state = ALIVE;
    samples_alive++;
    return OK;
}

int nvmlGpmSampleFree(Sample *sample) {
    BEGIN(NULL);
    if (sample->state != ALIVE) return INVALID;
    sample->state = FREED; /* the memory stays, so that a second call is noticed */
    samples_alive--;
    return OK;
}

static int take(const Device *device, Sample *sample) {
    if (sample->state != ALIVE) return INVALID;
    sample->device = *device;
    sample->taken = ++taken;
    return OK;
}

int nvmlGpmSampleGet(Device *device, Sample *sample) {
    BEGIN(device);
    return take(device, sample);
}

int nvmlGpmMigSampleGet(Device *device, unsigned int instance, Sample *sample) {
    BEGIN(device);
    for (int place = 0; place < MAX_SLICES; place++) {
        Device slice = {device->gpu, place};
        if (number_or(&slice, "instance", ~0ULL) == instance) return take(&slice, sample);
    }
    return NOT_FOUND;
}

int nvmlGpmMetricsGet(MetricsGet *get) {
    const Device *device = &get->later->device;
    BEGIN(device);
    if (get->version != 1 || !get->wanted || !get->earlier->taken || get->earlier->taken >= get->later->taken)
        return INVALID;
    if (memcmp(&get->earlier->device, device, sizeof *device) != 0) return INVALID;
    for (unsigned int i = 0; i < get->wanted; i++) {
        Metric *metric = &get->metrics[i];
        metric->code = NOT_SUPPORTED;
        for (size_t known = 0; known < sizeof metrics / sizeof *metrics; known++) {
            char found[LINE], fail[LINE];
            if (metrics[known].id != metric->id || !find(device, metrics[known].key, found)) continue;
            snprintf(fail, sizeof fail, "fail.%s", metrics[known].key);
            metric->code = (unsigned int)number_or(device, fail, OK);
            metric->value = strtod(found, NULL);
        }
    }
    return OK;
}
