/* A disk that forgets what was not synced, and fails when told to: LD_PRELOAD into PostgreSQL.

   Before bytes of a file under DISK_ROOT are overwritten, the old ones are noted in DISK_NOTES, in a file named after
   the inode; a sync of the file throws its notes away. Whoever cuts the power kills everybody and takes back what the
   notes say (disk.py). Names of files (rename, unlink) are kept at once, so what is lost is data alone, as in LazyFS.
   While the file DISK_NOTES/fail is there, fdatasync and fsync fail with EIO. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

struct note { off_t offset, length, size; };

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* The notes of a file of ours, locked; -1 for any other. */
static int notes_of(int fd, struct stat *found) {
    char link[64], path[4096];
    const char *root = getenv("DISK_ROOT"), *notes = getenv("DISK_NOTES");
    if (!root || !notes || fstat(fd, found) || !S_ISREG(found->st_mode)) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, root, strlen(root))) return -1;
    snprintf(path, sizeof path, "%s/%lu", notes, (unsigned long)found->st_ino);
    int kept = REAL(open)(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (kept < 0) abort(); /* a disk that cannot take notes proves nothing */
    while (flock(kept, LOCK_EX) && errno == EINTR);
    fstat(fd, found); /* its size may have changed while we waited */
    return kept;
}

/* What [offset, offset + length) holds now, and how long the file is. */
static void note(int kept, int fd, const struct stat *found, off_t offset, off_t length) {
    off_t there = found->st_size <= offset ? 0 : found->st_size - offset;
    struct note note = {offset, there < length ? there : length, found->st_size};
    char *old = malloc(note.length + 1);
    if (!old) abort();
    for (off_t done = 0, got; done < note.length; done += got)
        if ((got = pread(fd, old + done, note.length - done, offset + done)) <= 0) { note.length = done; break; }
    struct iovec parts[] = {{&note, sizeof note}, {old, note.length}};
    if (REAL(writev)(kept, parts, 2) != (ssize_t)(sizeof note + note.length)) abort();
    free(old);
}

/* To be called before a write, and `end` after it: a sync between the two would pass for one of what is written.
   A file may be open for writing only, and its old bytes must be read all the same. */
static int begin(int fd, off_t offset, off_t length) {
    int saved = errno;
    struct stat found;
    int kept = notes_of(fd, &found);
    if (kept >= 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = REAL(open)(link, O_RDONLY | O_CLOEXEC);
        if (reader < 0) abort();
        if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
        if (length < 0) length = found.st_size > offset ? found.st_size - offset : 0; /* all behind it */
        note(kept, reader, &found, offset, length);
        close(reader);
    }
    errno = saved;
    return kept;
}

static ssize_t end(int kept, ssize_t answer) {
    int saved = errno;
    if (kept >= 0) close(kept); /* and with it the lock */
    errno = saved;
    return answer;
}

/* A file is gone, and its inode may become another one's. */
static void forget(const char *path) {
    int saved = errno;
    char name[4096];
    const char *notes = getenv("DISK_NOTES");
    struct stat found;
    if (notes && !lstat(path, &found) && S_ISREG(found.st_mode) && found.st_nlink == 1) {
        snprintf(name, sizeof name, "%s/%lu", notes, (unsigned long)found.st_ino);
        REAL(unlink)(name);
    }
    errno = saved;
}

static int synced(int fd) {
    struct stat found;
    char path[4096];
    const char *notes = getenv("DISK_NOTES");
    int kept = notes_of(fd, &found);
    if (kept < 0) return 0;
    snprintf(path, sizeof path, "%s/fail", notes);
    int fails = access(path, F_OK) == 0;
    if (!fails && REAL(ftruncate)(kept, 0)) abort();
    close(kept);
    if (fails) errno = EIO;
    return fails ? -1 : 0;
}

static off_t all(const struct iovec *parts, int count) {
    off_t length = 0;
    while (count--) length += parts[count].iov_len;
    return length;
}

ssize_t write(int fd, const void *from, size_t length) {
    int kept = begin(fd, -1, length);
    return end(kept, REAL(write)(fd, from, length));
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset) {
    int kept = begin(fd, offset, length);
    return end(kept, REAL(pwrite)(fd, from, length, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int kept = begin(fd, -1, all(parts, count));
    return end(kept, REAL(writev)(fd, parts, count));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    int kept = begin(fd, offset, all(parts, count));
    return end(kept, REAL(pwritev)(fd, parts, count, offset));
}

int ftruncate(int fd, off_t length) {
    int kept = begin(fd, length, -1);
    return end(kept, REAL(ftruncate)(fd, length));
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    int kept = begin(fd, offset, 0);
    return end(kept, REAL(posix_fallocate)(fd, offset, length));
}

ssize_t copy_file_range(int from, off_t *at, int fd, off_t *offset, size_t length, unsigned int flags) {
    int kept = begin(fd, offset ? *offset : -1, length);
    return end(kept, REAL(copy_file_range)(from, at, fd, offset, length, flags));
}

int unlink(const char *path) {
    forget(path);
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    forget(to);
    return REAL(rename)(from, to);
}

int fdatasync(int fd) { return synced(fd); }

int fsync(int fd) { return synced(fd); }
