// etc_driver_load fills the table of the driver's functions from libcuda.so.1.
// It returns 0 where that is not there, with the reason in why.
int etc_driver_load(char *why, int size);
