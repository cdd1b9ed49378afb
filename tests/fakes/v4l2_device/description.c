/* What the device is, and what is the matter with it: the files of its folder. */
#include "device.h"

void violation(const char *format, ...)
{
    char path[PATH_MAX], text[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text - 1, format, values);
    va_end(values);
    text[length] = '\n';
    snprintf(path, sizeof path, "%s/violations", getenv("FAKE_V4L2_DIR"));
    int fd = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (write(fd, text, length + 1) < 0)
        abort();
    close(fd);
}

int refuse(int error)
{
    errno = error;
    return -1;
}

/* The number after a word of the faults file, e.g. 3 for `lose=3`; 1 for a word alone; else 0. */
int fault(const struct client *client, const char *word)
{
    char path[PATH_MAX + 8], text[256] = " ";
    snprintf(path, sizeof path, "%s.faults", client->node);
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text + 1, sizeof text - 2);
    close(fd);
    text[length < 0 ? 1 : length + 1] = 0;
    char spaced[32];
    snprintf(spaced, sizeof spaced, " %s", word);
    char *found = strstr(text, spaced);
    if (!found)
        return 0;
    found += strlen(spaced);
    return *found == '=' ? atoi(found + 1) : 1;
}

/* Whether a fault such as `lose=3` meets this frame: every third does. */
int meets(const struct client *client, const char *word, long number)
{
    int n = fault(client, word);
    return n > 0 && number % n == n - 1;
}

/* Reads the node. Lines: `driver NAME`, `card NAME`, `caps HEX HEX` (of the device, of the node),
 * `wall-clock` (time stamps), `uncounted` (no sequence numbers), `unlisted` (no list of sizes),
 * `pictures N`, `control ID LEAST MOST NAME`, `mode FOURCC W H BYTESPERLINE SIZEIMAGE FPS…`,
 * `range FOURCC W H MOST_W MOST_H STEP LEAST_FPS MOST_FPS`. */
int describe(struct client *client)
{
    FILE *file = fopen(client->node, "re");
    char line[256], fourcc[5];
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file)) {
        struct mode mode = {0};
        struct v4l2_queryctrl *control = &client->controls[client->control_count];
        __u32 *fps = mode.fps;
        line[strcspn(line, "\n")] = 0;
        sscanf(line, "driver %15s", client->driver);
        sscanf(line, "card %31[^\n]", client->card);
        sscanf(line, "caps %x %x", &client->capabilities, &client->device_caps);
        sscanf(line, "pictures %d", &client->pictures);
        client->wall_clock |= !strcmp(line, "wall-clock");
        client->uncounted |= !strcmp(line, "uncounted");
        client->unlisted |= !strcmp(line, "unlisted");
        if (sscanf(line, "control %u %d %d %31[^\n]", &control->id, &control->minimum,
                   &control->maximum, control->name) == 4)
            client->control_count++;
        int fields = sscanf(line, "mode %4c %u %u %u %u %u %u %u", fourcc, &mode.width,
                            &mode.height, &mode.stride, &mode.size, fps, fps + 1, fps + 2);
        int range = sscanf(line, "range %4c %u %u %u %u %u %u %u", fourcc, &mode.width,
                           &mode.height, &mode.most_width, &mode.most_height, &mode.step, fps,
                           fps + 1);
        fields = fields > range ? fields : range;
        if (fields < 5)
            continue;
        mode.rates = fields == range ? 2 : fields - 5;
        memcpy(&mode.fourcc, fourcc, 4);
        client->modes[client->mode_count++] = mode;
    }
    fclose(file);
    return 0;
}

int is_gone(struct client *client)
{
    struct stat node;
    if (!client->gone)
        client->gone = stat(client->node, &node) != 0 || client->made.tv_sec != node.st_ctim.tv_sec
                       || client->made.tv_nsec != node.st_ctim.tv_nsec;
    if (client->gone)
        client->streaming = 0;
    return client->gone;
}
