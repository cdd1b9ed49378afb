/* Formats, sizes, rates and controls of the device. */
#include "device.h"

/* The nearest mode: of the same format if there is one, then by the area. */
static struct mode nearest(const struct client *client, const struct v4l2_pix_format *pix)
{
    struct mode best = client->modes[0];
    double least = fault(client, "stubborn") ? -1 : 1e18;
    for (int i = 0; i < client->mode_count; i++) {
        struct mode mode = client->modes[i];
        if (mode.step) {
            __u32 wide = pix->width - (pix->width - mode.width) % mode.step;
            __u32 high = pix->height - (pix->height - mode.height) % mode.step;
            mode.width = wide > mode.most_width ? mode.most_width : wide;
            mode.height = high > mode.most_height ? mode.most_height : high;
            mode.stride = mode.width * 2;
            mode.size = mode.stride * mode.height;
        }
        double off = (double)mode.width * mode.height - (double)pix->width * pix->height;
        off = (off < 0 ? -off : off) + (mode.fourcc == pix->pixelformat ? 0 : 1e9);
        if (off < least) {
            least = off;
            best = mode;
        }
    }
    return best;
}

int enumerate_formats(const struct client *client, struct v4l2_fmtdesc *entry)
{
    __u32 found = 0;
    for (int i = 0; i < client->mode_count; i++) {
        if (i && client->modes[i].fourcc == client->modes[i - 1].fourcc)
            continue;
        if (found++ == entry->index) {
            entry->pixelformat = client->modes[i].fourcc;
            return 0;
        }
    }
    return refuse(EINVAL);
}

int enumerate_sizes(const struct client *client, struct v4l2_frmsizeenum *entry)
{
    __u32 found = 0;
    if (client->unlisted)
        return refuse(ENOTTY);
    for (int i = 0; i < client->mode_count; i++) {
        const struct mode *mode = &client->modes[i];
        if (mode->fourcc != entry->pixel_format || found++ != entry->index)
            continue;
        entry->type = mode->step ? V4L2_FRMSIZE_TYPE_STEPWISE : V4L2_FRMSIZE_TYPE_DISCRETE;
        entry->discrete = (struct v4l2_frmsize_discrete){mode->width, mode->height};
        if (mode->step)
            entry->stepwise = (struct v4l2_frmsize_stepwise){
                mode->width, mode->most_width, mode->step,
                mode->height, mode->most_height, mode->step};
        return 0;
    }
    return refuse(EINVAL);
}

int enumerate_rates(const struct client *client, struct v4l2_frmivalenum *entry)
{
    if (client->unlisted)
        return refuse(ENOTTY);
    for (int i = 0; i < client->mode_count; i++) {
        const struct mode *mode = &client->modes[i];
        int inside = mode->step && entry->width >= mode->width && entry->height >= mode->height
                     && entry->width <= mode->most_width && entry->height <= mode->most_height;
        if (mode->fourcc != entry->pixel_format
            || !(inside || (mode->width == entry->width && mode->height == entry->height)))
            continue;
        if (entry->index >= (mode->step ? 1 : mode->rates))
            return refuse(EINVAL);
        entry->type = mode->step ? V4L2_FRMIVAL_TYPE_CONTINUOUS : V4L2_FRMIVAL_TYPE_DISCRETE;
        entry->discrete = (struct v4l2_fract){1, mode->fps[entry->index]};
        if (mode->step)
            entry->stepwise = (struct v4l2_frmival_stepwise){
                {1, mode->fps[1]}, {1, mode->fps[0]}, {1, 1}};
        return 0;
    }
    return refuse(EINVAL);
}

int set_format(struct client *client, struct v4l2_format *format, int only_try)
{
    struct mode mode = nearest(client, &format->fmt.pix);
    if (!only_try && (client->count || is_busy(client))) {
        if (client->count)
            violation("S_FMT while there are buffers");
        return refuse(EBUSY);
    }
    format->fmt.pix = (struct v4l2_pix_format){
        .width = mode.width, .height = mode.height, .pixelformat = mode.fourcc,
        .field = V4L2_FIELD_NONE, .bytesperline = mode.stride, .sizeimage = mode.size,
        .colorspace = V4L2_COLORSPACE_SRGB};
    if (!only_try) {
        client->current = mode;
        client->fps = mode.fps[0];
    }
    return 0;
}

int set_rate(struct client *client, struct v4l2_streamparm *parm, int set)
{
    struct v4l2_captureparm *capture = &parm->parm.capture;
    if (client->unlisted)
        return refuse(ENOTTY);
    if (set && capture->timeperframe.numerator)
        client->fps = capture->timeperframe.denominator / capture->timeperframe.numerator;
    *capture = (struct v4l2_captureparm){
        .capability = V4L2_CAP_TIMEPERFRAME, .timeperframe = {1, client->fps}};
    return 0;
}

int control(struct client *client, struct v4l2_queryctrl *query, struct v4l2_control *set)
{
    __u32 wanted = query ? query->id & ~V4L2_CTRL_FLAG_NEXT_CTRL : set->id;
    for (int i = 0; i < client->control_count; i++) {
        struct v4l2_queryctrl *known = &client->controls[i];
        if (query && (query->id == known->id
                      || (query->id & V4L2_CTRL_FLAG_NEXT_CTRL && known->id > wanted))) {
            *query = *known;
            return 0;
        }
        if (set && set->id == known->id) {
            char path[PATH_MAX + 16];
            snprintf(path, sizeof path, "%s.controls", client->node);
            FILE *file = fopen(path, "ae");
            fprintf(file, "%s=%d\n", known->name, set->value);
            fclose(file);
            return 0;
        }
    }
    return refuse(EINVAL);
}
