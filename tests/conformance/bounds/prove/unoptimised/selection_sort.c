/* 12 integers put in order, exchanged through pointers. */
static void swap(int *a, int *b) { int t = *a; *a = *b; *b = t; }
int in_buf[12];
__attribute__((export_name("infer"))) int infer(void) {
  for (int i = 0; i < 11; i++) {
    int least = i;
    for (int j = i + 1; j < 12; j++)
      if (in_buf[j] < in_buf[least]) least = j;
    swap(&in_buf[i], &in_buf[least]);
  }
  return in_buf[0];
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
