/* A disk that loses unsynced writes, and fails on demand: an LD_PRELOAD library for PostgreSQL.

   Before a write to a file under DISK_ROOT, its old bytes are saved in DISK_JOURNAL, in a file named after the inode; a
   sync of the file empties its journal. To cut the power, kill all writers and undo what the journals hold (disk.py).
   Directory operations (rename, unlink) are durable at once, so only data is lost, as in LazyFS.
   While the file DISK_JOURNAL/fail exists, fdatasync and fsync fail with EIO. */

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

struct entry { off_t offset, length, size; };

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* The locked journal of a file under DISK_ROOT; -1 for any other file. */
static int journal_of(int fd, struct stat *found) {
    char link[64], path[4096];
    const char *root = getenv("DISK_ROOT"), *folder = getenv("DISK_JOURNAL");
    if (!root || !folder || fstat(fd, found) || !S_ISREG(found->st_mode)) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, root, strlen(root))) return -1;
    snprintf(path, sizeof path, "%s/%lu", folder, (unsigned long)found->st_ino);
    int journal = REAL(open)(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) abort(); /* without a journal the test proves nothing */
    while (flock(journal, LOCK_EX) && errno == EINTR);
    fstat(fd, found); /* its size may have changed while we waited */
    return journal;
}

/* Saves the bytes in [offset, offset + length) and the length of the file. */
static void save(int journal, int fd, const struct stat *found, off_t offset, off_t length) {
    off_t there = found->st_size <= offset ? 0 : found->st_size - offset;
    struct entry entry = {offset, there < length ? there : length, found->st_size};
    char *old = malloc(entry.length + 1);
    if (!old) abort();
    for (off_t done = 0, got; done < entry.length; done += got)
        if ((got = pread(fd, old + done, entry.length - done, offset + done)) <= 0) { entry.length = done; break; }
    struct iovec parts[] = {{&entry, sizeof entry}, {old, entry.length}};
    if (REAL(writev)(journal, parts, 2) != (ssize_t)(sizeof entry + entry.length)) abort();
    free(old);
}

/* Call before a write, and `end` after it; the lock keeps a sync out between the two.
   A file may be open for writing only, so its old bytes are read through another descriptor. */
static int begin(int fd, off_t offset, off_t length) {
    int saved = errno;
    struct stat found;
    int journal = journal_of(fd, &found);
    if (journal >= 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = REAL(open)(link, O_RDONLY | O_CLOEXEC);
        if (reader < 0) abort();
        if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
        if (length < 0) length = found.st_size > offset ? found.st_size - offset : 0; /* everything after it */
        save(journal, reader, &found, offset, length);
        close(reader);
    }
    errno = saved;
    return journal;
}

static ssize_t end(int journal, ssize_t answer) {
    int saved = errno;
    if (journal >= 0) close(journal); /* releases the lock */
    errno = saved;
    return answer;
}

/* A file is deleted, and another one may get its inode. */
static void forget(const char *path) {
    int saved = errno;
    char name[4096];
    const char *folder = getenv("DISK_JOURNAL");
    struct stat found;
    if (folder && !lstat(path, &found) && S_ISREG(found.st_mode) && found.st_nlink == 1) {
        snprintf(name, sizeof name, "%s/%lu", folder, (unsigned long)found.st_ino);
        REAL(unlink)(name);
    }
    errno = saved;
}

static int synced(int fd) {
    struct stat found;
    char path[4096];
    const char *folder = getenv("DISK_JOURNAL");
    int journal = journal_of(fd, &found);
    if (journal < 0) return 0;
    snprintf(path, sizeof path, "%s/fail", folder);
    int fails = access(path, F_OK) == 0;
    if (!fails && REAL(ftruncate)(journal, 0)) abort();
    close(journal);
    if (fails) errno = EIO;
    return fails ? -1 : 0;
}

static off_t all(const struct iovec *parts, int count) {
    off_t length = 0;
    while (count--) length += parts[count].iov_len;
    return length;
}

ssize_t write(int fd, const void *from, size_t length) {
    int journal = begin(fd, -1, length);
    return end(journal, REAL(write)(fd, from, length));
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset) {
    int journal = begin(fd, offset, length);
    return end(journal, REAL(pwrite)(fd, from, length, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int journal = begin(fd, -1, all(parts, count));
    return end(journal, REAL(writev)(fd, parts, count));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    int journal = begin(fd, offset, all(parts, count));
    return end(journal, REAL(pwritev)(fd, parts, count, offset));
}

int ftruncate(int fd, off_t length) {
    int journal = begin(fd, length, -1);
    return end(journal, REAL(ftruncate)(fd, length));
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    int journal = begin(fd, offset, 0);
    return end(journal, REAL(posix_fallocate)(fd, offset, length));
}

ssize_t copy_file_range(int from, off_t *at, int fd, off_t *offset, size_t length, unsigned int flags) {
    int journal = begin(fd, offset ? *offset : -1, length);
    return end(journal, REAL(copy_file_range)(from, at, fd, offset, length, flags));
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
